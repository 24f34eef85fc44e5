package main

import (
	"context"
	"encoding/json"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

type listing struct {
	After      string               `json:"after"`
	Limit      int                  `json:"limit"`
	OrderBy    string               `json:"order_by"`
	Descending bool                 `json:"descending"`
	States     []rivertype.JobState `json:"states"`
}

func (l listing) params() (*river.JobListParams, error) {
	order := map[string]river.JobListOrderByField{
		"id":           river.JobListOrderByID,
		"time":         river.JobListOrderByTime,
		"scheduled_at": river.JobListOrderByScheduledAt,
		"finalized_at": river.JobListOrderByFinalizedAt,
	}[l.OrderBy]
	direction := river.SortOrderAsc
	if l.Descending {
		direction = river.SortOrderDesc
	}
	params := river.NewJobListParams().First(l.Limit).OrderBy(order, direction)
	if len(l.States) > 0 {
		params = params.States(l.States...)
	}
	if l.After == "" {
		return params, nil
	}
	cursor := &river.JobListCursor{}
	err := cursor.UnmarshalText([]byte(l.After))
	return params.After(cursor), err
}

func (p *program[TTx]) list(ctx context.Context, with json.RawMessage) (any, error) {
	var asked listing
	if err := json.Unmarshal(with, &asked); err != nil {
		return nil, err
	}
	params, err := asked.params()
	if err != nil {
		return nil, err
	}
	page, err := p.asking.JobList(ctx, params)
	if err != nil {
		return nil, err
	}
	ids := []int64{}
	for _, job := range page.Jobs {
		ids = append(ids, job.ID)
	}
	cursor := ""
	if page.LastCursor != nil {
		text, err := page.LastCursor.MarshalText()
		if err != nil {
			return nil, err
		}
		cursor = string(text)
	}
	return map[string]any{"ids": ids, "cursor": cursor}, nil
}
