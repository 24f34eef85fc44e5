// Go-river is a real River client that tests drive: requests come in as lines of JSON, and answers
// and events go out as such. tests/interop/python_river.py is the same program in Python.
//
//	-> {"id": 1, "do": "open", "with": "postgresql://localhost/test"}
//	<- {"id": 1, "result": null}
//	-> {"id": 2, "do": "insert", "with": [{"kind": "interop_task", "args": {"do": "complete"}}]}
//	<- {"id": 2, "result": [{"job": {"id": 1, ...}, "skipped": false}]}
//	<- {"event": "job_completed", "job": {"id": 1, ...}}
//
// One request at a time; the running client goes on meanwhile. The end of the input ends all.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// longestLine allows for inserts of many thousand jobs.
const longestLine = 64 << 20

type request struct {
	ID   int             `json:"id"`
	Do   string          `json:"do"`
	With json.RawMessage `json:"with"`
}

// answerer does what one request asks for.
type answerer interface {
	answer(ctx context.Context, do string, with json.RawMessage) (any, error)
	close(ctx context.Context)
}

func main() {
	desk := &desk{out: &lines{encoder: json.NewEncoder(os.Stdout)}}
	if err := desk.serve(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// desk has one database open at a time, and passes requests on.
type desk struct {
	out     *lines
	program answerer
}

func (d *desk) serve(ctx context.Context, in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, longestLine)
	for scanner.Scan() {
		var asked request
		if err := json.Unmarshal(scanner.Bytes(), &asked); err != nil {
			return err
		}
		result, err := d.answer(ctx, asked.Do, asked.With)
		if err != nil {
			d.out.write(map[string]any{"id": asked.ID, "error": err.Error()})
			continue
		}
		d.out.write(map[string]any{"id": asked.ID, "result": result})
	}
	d.close(ctx)
	return scanner.Err()
}

func (d *desk) answer(ctx context.Context, do string, with json.RawMessage) (any, error) {
	switch {
	case do == "open":
		return nil, d.open(ctx, with)
	case do == "close":
		d.close(ctx)
		return nil, nil
	case d.program == nil:
		return nil, errors.New("no database is open")
	default:
		return d.program.answer(ctx, do, with)
	}
}

func (d *desk) open(ctx context.Context, with json.RawMessage) error {
	var url string
	if err := json.Unmarshal(with, &url); err != nil {
		return err
	}
	program, err := open(ctx, url, d.out)
	d.program = program
	return err
}

func (d *desk) close(ctx context.Context) {
	if d.program != nil {
		d.program.close(ctx)
		d.program = nil
	}
}

// lines is standard output, one line at a time, whoever writes.
type lines struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (l *lines) write(line map[string]any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := l.encoder.Encode(line); err != nil {
		panic(err)
	}
}

func (l *lines) event(name string, more map[string]any) {
	line := map[string]any{"event": name}
	for key, value := range more {
		line[key] = value
	}
	l.write(line)
}
