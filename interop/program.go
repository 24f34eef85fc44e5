package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

type driverOf[TTx any] = riverdriver.Driver[TTx]

// method does what one request asks for.
type method func(ctx context.Context, with json.RawMessage) (any, error)

// program has one client that only asks, and one that works while it is started.
type program[TTx any] struct {
	store  *store[TTx]
	out    *lines
	asking *river.Client[TTx]
	worker *worker[TTx]
}

// worker is a client that runs, and what ends the telling of its events.
type worker[TTx any] struct {
	*river.Client[TTx]
	silence func()
}

func newProgram[TTx any](store *store[TTx], out *lines) (answerer, error) {
	asking, err := river.NewClient(store.driver, &river.Config{Logger: quiet()})
	if err != nil {
		return nil, err
	}
	return &program[TTx]{store: store, out: out, asking: asking}, nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (p *program[TTx]) close(ctx context.Context) {
	if p.worker != nil {
		_, _ = p.stop(ctx, json.RawMessage(`"cancel"`))
	}
	p.store.close()
}

func (p *program[TTx]) answer(ctx context.Context, do string, with json.RawMessage) (any, error) {
	methods := map[string]method{
		"migrate":        p.migrate(rivermigrate.DirectionUp, nil),
		"migrate_down":   p.migrate(rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}),
		"validate":       p.validate,
		"insert":         p.insert,
		"insert_many":    p.insertMany,
		"list":           p.list,
		"get":            p.job(p.asking.JobGet),
		"cancel":         p.job(p.asking.JobCancel),
		"retry":          p.job(p.asking.JobRetry),
		"pause":          p.queue(p.asking.QueuePause),
		"resume":         p.queue(p.asking.QueueResume),
		"request_resign": p.requestResign,
		"start":          p.start,
		"stop":           p.stop,
	}
	asked, ok := methods[do]
	if !ok {
		return nil, fmt.Errorf("there is no %q", do)
	}
	return asked(ctx, with)
}

// migrate says which versions it applied or took back.
func (p *program[TTx]) migrate(direction rivermigrate.Direction, opts *rivermigrate.MigrateOpts) method {
	return func(ctx context.Context, _ json.RawMessage) (any, error) {
		migrator, err := rivermigrate.New(p.store.driver, &rivermigrate.Config{Logger: quiet()})
		if err != nil {
			return nil, err
		}
		done, err := migrator.Migrate(ctx, direction, opts)
		if err != nil {
			return nil, err
		}
		versions := []int{}
		for _, version := range done.Versions {
			versions = append(versions, version.Version)
		}
		return versions, nil
	}
}

func (p *program[TTx]) validate(ctx context.Context, _ json.RawMessage) (any, error) {
	migrator, err := rivermigrate.New(p.store.driver, &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return nil, err
	}
	found, err := migrator.Validate(ctx, nil)
	if err != nil {
		return nil, err
	}
	return found.OK, nil
}

// job is a question about the job with this id.
func (p *program[TTx]) job(ask func(context.Context, int64) (*rivertype.JobRow, error)) method {
	return func(ctx context.Context, with json.RawMessage) (any, error) {
		var id int64
		if err := json.Unmarshal(with, &id); err != nil {
			return nil, err
		}
		row, err := ask(ctx, id)
		if err != nil {
			return nil, err
		}
		return viewOf(row), nil
	}
}

func (p *program[TTx]) queue(do func(context.Context, string, *river.QueuePauseOpts) error) method {
	return func(ctx context.Context, with json.RawMessage) (any, error) {
		var name string
		if err := json.Unmarshal(with, &name); err != nil {
			return nil, err
		}
		return nil, do(ctx, name, nil)
	}
}

func (p *program[TTx]) requestResign(ctx context.Context, _ json.RawMessage) (any, error) {
	return nil, p.asking.Notify().RequestResign(ctx)
}

func (p *program[TTx]) start(ctx context.Context, with json.RawMessage) (any, error) {
	if p.worker != nil {
		return nil, errors.New("it runs already")
	}
	var settings settings
	if err := json.Unmarshal(with, &settings); err != nil {
		return nil, err
	}
	config := settings.config()
	config.Workers = workersOf(p.store, p.out)
	config.Hooks = []rivertype.Hook{&leading{out: p.out}}
	client, err := river.NewClient(p.store.driver, config)
	if err != nil {
		return nil, err
	}
	p.worker = &worker[TTx]{Client: client, silence: p.tell(client)}
	return nil, client.Start(ctx)
}

// stop waits for the jobs that run, or cancels them; and then until all is told.
func (p *program[TTx]) stop(ctx context.Context, with json.RawMessage) (any, error) {
	if p.worker == nil {
		return nil, errors.New("it does not run")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	running := p.worker
	p.worker = nil
	defer running.silence()
	if string(with) == `"cancel"` {
		return nil, running.StopAndCancel(ctx)
	}
	return nil, running.Stop(ctx)
}

// tell writes a line for each event, from before the client starts until what it returns is called.
func (p *program[TTx]) tell(client *river.Client[TTx]) (silence func()) {
	events, cancel := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: 100_000, Kinds: []river.EventKind{
		river.EventKindJobCancelled, river.EventKindJobCompleted, river.EventKindJobFailed,
		river.EventKindJobInterrupted, river.EventKindJobSnoozed,
		river.EventKindQueuePaused, river.EventKindQueueResumed,
	}})
	told := make(chan struct{})
	go func() {
		defer close(told)
		for event := range events {
			p.out.event(string(event.Kind), about(event))
		}
	}()
	return func() { cancel(); <-told }
}

func about(event *river.Event) map[string]any {
	if event.Job != nil {
		return map[string]any{"job": viewOf(event.Job)}
	}
	return map[string]any{"queue": event.Queue.Name}
}

// leading is called by River as soon as its client leads.
type leading struct {
	river.HookDefaults
	out *lines
}

func (l *leading) Start(context.Context, *rivertype.HookPeriodicJobsStartParams) error {
	l.out.event("leading", nil)
	return nil
}
