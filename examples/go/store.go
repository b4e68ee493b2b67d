package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema.sql
var schema string

// Note is one row of the table notes.
type Note struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// Store keeps notes in PostgreSQL.
type Store struct {
	*pgxpool.Pool
}

// openStore connects to a database, and creates its table if it is not there.
func openStore(ctx context.Context, dsn string) (*Store, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("create the table: %w", err)
	}
	return &Store{pool}, nil
}

// Count returns how many notes there are.
func (s *Store) Count(ctx context.Context) (count int, err error) {
	err = s.QueryRow(ctx, "SELECT count(*) FROM notes").Scan(&count)
	return count, err
}

// List returns all notes, the oldest first.
func (s *Store) List(ctx context.Context) ([]Note, error) {
	rows, err := s.Query(ctx, "SELECT id, text FROM notes ORDER BY id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Note])
}

// Add adds a note.
func (s *Store) Add(ctx context.Context, text string) (Note, error) {
	note := Note{Text: text}
	err := s.QueryRow(ctx, "INSERT INTO notes (text) VALUES ($1) RETURNING id", text).Scan(&note.ID)
	return note, err
}
