package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// task is the job that does what its args say. Both languages know it.
type task struct {
	Do   string `json:"do"`
	Note string `json:"note"`
}

func (task) Kind() string { return "interop_task" }

// values has a field of each kind that is not written the same in every language.
type values struct {
	Text   string         `json:"text"`
	Number float64        `json:"number"`
	Whole  int64          `json:"whole"`
	Flag   bool           `json:"flag"`
	Names  []string       `json:"names"`
	Nested map[string]any `json:"nested"`
}

func (values) Kind() string { return "interop_values" }

// order is unique by some of its fields, where it is unique by its args.
type order struct {
	Note     string   `json:"note"`
	Number   int64    `json:"number"   river:"unique"`
	Customer customer `json:"customer" river:"unique"`
}

type customer struct {
	Name string `json:"name"`
	ID   string `json:"id"   river:"unique"`
}

func (order) Kind() string { return "interop_order" }

// onlyGo is a kind that Python has no worker for.
type onlyGo struct{}

func (onlyGo) Kind() string { return "only_go" }

// foreign is a job that Go has no worker for, its args exactly as they were given.
type foreign struct {
	kind string
	args json.RawMessage
}

func (f foreign) Kind() string                 { return f.kind }
func (f foreign) MarshalJSON() ([]byte, error) { return f.args, nil }

// argsOf makes what River encodes again, in its own way.
func argsOf(kind string, args json.RawMessage) (river.JobArgs, error) {
	switch kind {
	case task{}.Kind():
		return decoded[task](args)
	case values{}.Kind():
		return decoded[values](args)
	case order{}.Kind():
		return decoded[order](args)
	case onlyGo{}.Kind():
		return onlyGo{}, nil
	default:
		return foreign{kind: kind, args: args}, nil
	}
}

func decoded[T river.JobArgs](args json.RawMessage) (river.JobArgs, error) {
	var value T
	err := json.Unmarshal(args, &value)
	return value, err
}

type taskWorker[TTx any] struct {
	river.WorkerDefaults[task]
	store *store[TTx]
	out   *lines
}

func (w *taskWorker[TTx]) Work(ctx context.Context, job *river.Job[task]) error {
	if job.Args.Do == "once" {
		return w.once(ctx, job)
	}
	w.out.event("working", map[string]any{"job": map[string]any{"id": job.ID, "attempt": job.Attempt}})
	switch job.Args.Do {
	case "complete":
		return river.RecordOutput(ctx, map[string]any{"by": "go", "note": job.Args.Note})
	case "fail":
		return errors.New("a failure in Go")
	case "cancel":
		return river.JobCancel(errors.New("given up in Go"))
	case "snooze":
		return river.JobSnooze(time.Hour)
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	default:
		return fmt.Errorf("nothing is known of %q", job.Args.Do)
	}
}

// once writes a line for the job in the very transaction that completes it.
func (w *taskWorker[TTx]) once(ctx context.Context, job *river.Job[task]) error {
	return w.store.within(ctx, func(tx TTx) error {
		if err := w.store.exec(ctx, tx, "insert into ledger (job_id, worked_by) values ($1, 'go')", job.ID); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[driverOf[TTx]](ctx, tx, job)
		return err
	})
}

// idleWorker completes what it is given.
type idleWorker[T river.JobArgs] struct{ river.WorkerDefaults[T] }

func (idleWorker[T]) Work(context.Context, *river.Job[T]) error { return nil }

func workersOf[TTx any](store *store[TTx], out *lines) *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, &taskWorker[TTx]{store: store, out: out})
	river.AddWorker(workers, &idleWorker[values]{})
	river.AddWorker(workers, &idleWorker[order]{})
	river.AddWorker(workers, &idleWorker[onlyGo]{})
	return workers
}
