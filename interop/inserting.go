package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

type insertion struct {
	Kind        string          `json:"kind"`
	Args        json.RawMessage `json:"args"`
	MaxAttempts int             `json:"max_attempts"`
	Metadata    json.RawMessage `json:"metadata"`
	Pending     bool            `json:"pending"`
	Priority    int             `json:"priority"`
	Queue       string          `json:"queue"`
	ScheduledAt time.Time       `json:"scheduled_at"`
	Tags        []string        `json:"tags"`
	Unique      unique          `json:"unique"`
}

type unique struct {
	ByArgs      bool                 `json:"by_args"`
	ByPeriod    int64                `json:"by_period"`
	ByQueue     bool                 `json:"by_queue"`
	ByState     []rivertype.JobState `json:"by_state"`
	ExcludeKind bool                 `json:"exclude_kind"`
}

func (i insertion) params() (river.InsertManyParams, error) {
	args, err := argsOf(i.Kind, i.Args)
	return river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{
		MaxAttempts: i.MaxAttempts,
		Metadata:    i.Metadata,
		Pending:     i.Pending,
		Priority:    i.Priority,
		Queue:       i.Queue,
		ScheduledAt: i.ScheduledAt,
		Tags:        i.Tags,
		UniqueOpts: river.UniqueOpts{
			ByArgs:      i.Unique.ByArgs,
			ByPeriod:    time.Duration(i.Unique.ByPeriod) * time.Second,
			ByQueue:     i.Unique.ByQueue,
			ByState:     i.Unique.ByState,
			ExcludeKind: i.Unique.ExcludeKind,
		},
	}}, err
}

// insert inserts one after the other, so that each is told of those before it.
func (p *program[TTx]) insert(ctx context.Context, with json.RawMessage) (any, error) {
	var asked []insertion
	if err := json.Unmarshal(with, &asked); err != nil {
		return nil, err
	}
	results := []any{}
	for _, one := range asked {
		params, err := one.params()
		if err != nil {
			return nil, err
		}
		result, err := p.asking.Insert(ctx, params.Args, params.InsertOpts)
		if err != nil {
			return nil, err
		}
		results = append(results, map[string]any{"job": viewOf(result.Job), "skipped": result.UniqueSkippedAsDuplicate})
	}
	return results, nil
}

// insertMany inserts all at once, and says how many there were.
func (p *program[TTx]) insertMany(ctx context.Context, with json.RawMessage) (any, error) {
	var asked []insertion
	if err := json.Unmarshal(with, &asked); err != nil {
		return nil, err
	}
	params := make([]river.InsertManyParams, len(asked))
	for i, one := range asked {
		var err error
		if params[i], err = one.params(); err != nil {
			return nil, err
		}
	}
	return p.asking.InsertManyFast(ctx, params)
}

// view is what tests see of a job.
type view struct {
	ID          int64                    `json:"id"`
	Kind        string                   `json:"kind"`
	State       rivertype.JobState       `json:"state"`
	Args        json.RawMessage          `json:"args"`
	Attempt     int                      `json:"attempt"`
	AttemptedBy []string                 `json:"attempted_by"`
	Errors      []rivertype.AttemptError `json:"errors"`
	MaxAttempts int                      `json:"max_attempts"`
	Metadata    json.RawMessage          `json:"metadata"`
	Priority    int                      `json:"priority"`
	Queue       string                   `json:"queue"`
	ScheduledAt time.Time                `json:"scheduled_at"`
	Tags        []string                 `json:"tags"`
}

func viewOf(row *rivertype.JobRow) view {
	return view{
		ID: row.ID, Kind: row.Kind, State: row.State, Args: row.EncodedArgs, Attempt: row.Attempt,
		AttemptedBy: row.AttemptedBy, Errors: row.Errors, MaxAttempts: row.MaxAttempts,
		Metadata: row.Metadata, Priority: row.Priority, Queue: row.Queue,
		ScheduledAt: row.ScheduledAt, Tags: row.Tags,
	}
}
