// Bench measures River as River's own `river bench` does, for the comparison in benchmarks/: the same
// settings, jobs, batches and way to count. The last line it prints is one object of JSON.
//
//	bench burst URL JOBS            inserts so many jobs, then works them down
//	bench sustained URL DURATION    inserts and works at once, such as for 60s
//	bench latency URL JOBS          from insert to start, one job after the other; see latency.go
//
// With `-defaults` after the name of the first or the last, the settings are those of a client that is given
// none, with 100 workers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

const (
	batch      = 5000
	enough     = 75_000 // jobs that are kept waiting, and events that may wait
	feedEvery  = 250 * time.Millisecond
	quarters   = 4
	maxWorkers = 2000
	defaults   = "-defaults"

	maxWorkersOfDefaults = 100
)

type benchmark struct {
	Num int `json:"num"`
}

func (benchmark) Kind() string { return "benchmark" }

type worker struct {
	river.WorkerDefaults[benchmark]
}

func (worker) Work(context.Context, *river.Job[benchmark]) error { return nil }

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: bench burst URL JOBS | bench sustained URL DURATION | bench latency URL JOBS"))
	}
	figures, err := measure(context.Background(), os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(figures); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func measure(ctx context.Context, mode, url, much string) (map[string]any, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	name, _ := strings.CutSuffix(mode, defaults)
	if name == "sustained" {
		duration, err := time.ParseDuration(much)
		if err != nil {
			return nil, err
		}
		bench, err := newBench(pool, settings(mode))
		if err != nil {
			return nil, err
		}
		return bench.sustained(ctx, duration)
	}
	jobs, err := strconv.Atoi(much)
	if err != nil {
		return nil, err
	}
	if name == "latency" {
		return latency(ctx, pool, url, settings(mode), jobs)
	}
	bench, err := newBench(pool, settings(mode))
	if err != nil {
		return nil, err
	}
	return bench.burst(ctx, jobs)
}

// settings are those of `river bench`, or none.
func settings(mode string) river.Config {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if strings.HasSuffix(mode, defaults) {
		return river.Config{Logger: quiet, Queues: queue(maxWorkersOfDefaults)}
	}
	return river.Config{
		FetchCooldown:     2 * time.Millisecond,
		FetchPollInterval: 20 * time.Millisecond,
		Logger:            quiet,
		Queues:            queue(maxWorkers),
	}
}

func queue(workers int) map[string]river.QueueConfig {
	return map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
}

// bench has a client, and the events of the jobs that it has ended.
type bench struct {
	client   *river.Client[pgx.Tx]
	events   <-chan *river.Event
	inserted int
}

func newBench(pool *pgxpool.Pool, config river.Config) (*bench, error) {
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &worker{})
	client, err := river.NewClient(riverpgxv5.New(pool), &config)
	if err != nil {
		return nil, err
	}
	events, _ := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: enough, Kinds: []river.EventKind{
		river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled,
	}})
	return &bench{client: client, events: events}, nil
}

func (b *bench) burst(ctx context.Context, jobs int) (map[string]any, error) {
	if err := b.fill(ctx, jobs); err != nil {
		return nil, err
	}
	started := time.Now()
	if err := b.client.Start(ctx); err != nil {
		return nil, err
	}
	for range jobs {
		<-b.events
	}
	seconds := time.Since(started).Seconds()
	return map[string]any{"jobs_per_second": float64(jobs) / seconds, "worked": jobs}, b.client.Stop(ctx)
}

// sustained counts what is worked in each quarter of the time.
func (b *bench) sustained(ctx context.Context, duration time.Duration) (map[string]any, error) {
	if err := b.fill(ctx, enough); err != nil {
		return nil, err
	}
	feed := time.NewTicker(feedEvery)
	defer feed.Stop()
	needed, failed := make(chan int, 1), make(chan error, 1)
	go b.feed(ctx, needed, failed)
	started, worked, counts := time.Now(), 0, [quarters]int{}
	if err := b.client.Start(ctx); err != nil {
		return nil, err
	}
	for over := time.After(duration); ; {
		select {
		case <-b.events:
			worked++
			counts[min(quarters-1, int(quarters*time.Since(started)/duration))]++
		case <-feed.C:
			select {
			case needed <- worked + enough:
			default: // it is inserting
			}
		case err := <-failed:
			return nil, err
		case <-over:
			close(needed)
			seconds := time.Since(started).Seconds()
			rates := [quarters]float64{}
			for number, count := range counts {
				rates[number] = float64(count) * quarters / seconds
			}
			return map[string]any{"jobs_per_second": float64(worked) / seconds, "worked": worked, "quarters": rates}, nil
		}
	}
}

// feed inserts until there have been as many jobs as are needed by now, again and again.
func (b *bench) feed(ctx context.Context, needed <-chan int, failed chan<- error) {
	for total := range needed {
		if err := b.fill(ctx, total); err != nil {
			failed <- err
			return
		}
	}
}

func (b *bench) fill(ctx context.Context, total int) error {
	for b.inserted < total {
		jobs := make([]river.InsertManyParams, 0, batch)
		for num := b.inserted; num < min(b.inserted+batch, total); num++ {
			jobs = append(jobs, river.InsertManyParams{Args: benchmark{Num: num}})
		}
		count, err := b.client.InsertManyFast(ctx, jobs)
		if err != nil {
			return err
		}
		b.inserted += count
	}
	return nil
}
