// Notes over HTTP, kept in PostgreSQL: `PORT=8000 go run .`
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"notes/forkstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cmp.Or(os.Getenv("PORT"), "8000")); err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends.
func run(ctx context.Context, port string) error {
	environment, err := forkstack.CurrentEnv()
	if err != nil {
		return err
	}
	dsn, err := forkstack.DatabaseDSN("pgx")
	if err != nil {
		return err
	}
	store, err := openStore(ctx, dsn)
	if err != nil {
		return err
	}
	defer store.Close()

	server := &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", port),
		Handler:           newHandler(environment, store),
		ReadHeaderTimeout: 5 * time.Second,
	}
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
	}()
	log.Printf("notes [%s] http://%s/", environment, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
