package main

import (
	"context"
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	_ "modernc.org/sqlite"
)

// store is a database with its transactions, of whatever type they are.
type store[TTx any] struct {
	driver riverdriver.Driver[TTx]
	within func(ctx context.Context, do func(tx TTx) error) error
	exec   func(ctx context.Context, tx TTx, sql string, args ...any) error
	close  func()
}

// open knows a database by the scheme of its URL, as the tests name them.
func open(ctx context.Context, url string, out *lines) (answerer, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:///"); ok {
		return openSQLite(ctx, path, out)
	}
	return openPostgres(ctx, url, out)
}

func openPostgres(ctx context.Context, url string, out *lines) (answerer, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 12 // a transaction for each job that runs, and some for River
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return newProgram(&store[pgx.Tx]{
		driver: riverpgxv5.New(pool),
		within: func(ctx context.Context, do func(tx pgx.Tx) error) error {
			return pgx.BeginFunc(ctx, pool, do)
		},
		exec: func(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
			_, err := tx.Exec(ctx, sql, args...)
			return err
		},
		close: pool.Close,
	}, out)
}

func openSQLite(ctx context.Context, path string, out *lines) (answerer, error) {
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // River's advice for SQLite
	return newProgram(&store[*sql.Tx]{
		driver: riversqlite.New(pool),
		within: func(ctx context.Context, do func(tx *sql.Tx) error) error { return withinSQL(ctx, pool, do) },
		exec: func(ctx context.Context, tx *sql.Tx, sql string, args ...any) error {
			_, err := tx.ExecContext(ctx, sql, args...)
			return err
		},
		close: func() { _ = pool.Close() },
	}, out)
}

func withinSQL(ctx context.Context, pool *sql.DB, do func(tx *sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // without effect once it is committed
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
