package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// pause comes before each job, longer than the default cooldown, so that none profits or suffers from the one before.
const pause = 110 * time.Millisecond

// teller works a job by saying when.
type teller struct {
	river.WorkerDefaults[benchmark]
	started chan time.Time
}

func (t *teller) Work(context.Context, *river.Job[benchmark]) error {
	t.started <- time.Now()
	return nil
}

// latency has two clients, one that inserts and one that works, each with a pool of its own. The time runs from the
// call of Insert to the first line of Work.
func latency(ctx context.Context, pool *pgxpool.Pool, url string, config river.Config, jobs int) (map[string]any, error) {
	teller := &teller{started: make(chan time.Time, 1)}
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, teller)
	working, err := river.NewClient(riverpgxv5.New(pool), &config)
	if err != nil {
		return nil, err
	}
	other, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	inserting, err := river.NewClient(riverpgxv5.New(other), &river.Config{Logger: config.Logger})
	if err != nil {
		return nil, err
	}
	if err := working.Start(ctx); err != nil {
		return nil, err
	}
	measured, total := make([]time.Duration, jobs), time.Duration(0)
	for num := range jobs {
		time.Sleep(pause)
		begin := time.Now()
		if _, err := inserting.Insert(ctx, benchmark{Num: num}, nil); err != nil {
			return nil, err
		}
		measured[num] = (<-teller.started).Sub(begin)
		total += measured[num]
	}
	figures := map[string]any{"jobs": jobs, "p50_ms": percentile(measured, 0.5), "p99_ms": percentile(measured, 0.99)}
	return map[string]any{"jobs_per_second": float64(jobs) / total.Seconds(), "goroutine": figures}, working.Stop(ctx)
}

// percentile is the value that a share of all do not exceed, by nearest rank, in milliseconds.
func percentile(values []time.Duration, share float64) float64 {
	ordered := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(float64(len(ordered)) * share))
	return float64(ordered[max(0, rank-1)]) / float64(time.Millisecond)
}
