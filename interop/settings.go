package main

import (
	"time"

	"github.com/riverqueue/river"
)

// settings are those of a worker that tests vary. Durations are milliseconds; 0 is River's default.
type settings struct {
	ID          string         `json:"id"`
	Queues      map[string]int `json:"queues"`
	NeverLeads  bool           `json:"never_leads"`
	KnownKinds  bool           `json:"fetch_only_known_kinds"`
	PollOnly    bool           `json:"poll_only"`
	JobTimeout  int64          `json:"job_timeout"`
	RescueAfter int64          `json:"rescue_after"`
	Retention   int64          `json:"retention"`
	Periodic    bool           `json:"periodic"`
}

func (s settings) config() *river.Config {
	return &river.Config{
		ID:                          s.ID,
		Queues:                      s.queues(),
		LeaderElectionDisabled:      s.NeverLeads,
		FetchOnlyKnownKinds:         s.KnownKinds,
		PollOnly:                    s.PollOnly,
		JobTimeout:                  millis(s.JobTimeout),
		RescueStuckJobsAfter:        millis(s.RescueAfter),
		CompletedJobRetentionPeriod: millis(s.Retention),
		CancelledJobRetentionPeriod: millis(s.Retention),
		DiscardedJobRetentionPeriod: millis(s.Retention),
		PeriodicJobs:                s.periodic(),
		Logger:                      quiet(),
		TestOnly:                    true, // maintenance begins without pauses at random
	}
}

func (s settings) queues() map[string]river.QueueConfig {
	queues := map[string]river.QueueConfig{}
	for name, workers := range s.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: workers}
	}
	return queues
}

// periodic is one job that each new leader inserts.
func (s settings) periodic() []*river.PeriodicJob {
	if !s.Periodic {
		return nil
	}
	hourly := river.PeriodicInterval(time.Hour)
	args := func() (river.JobArgs, *river.InsertOpts) { return task{Do: "complete", Note: "periodic of go"}, nil }
	return []*river.PeriodicJob{river.NewPeriodicJob(hourly, args, &river.PeriodicJobOpts{ID: "of_go", RunOnStart: true})}
}

func millis(count int64) time.Duration { return time.Duration(count) * time.Millisecond }
