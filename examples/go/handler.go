package main

import (
	"encoding/json"
	"log"
	"net/http"
)

const maxBody = 4 << 10

// newHandler returns the routes of the application.
func newHandler(environment string, store *Store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		count, err := store.Count(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, map[string]any{"environment": environment, "notes": count})
	})
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		notes, err := store.List(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, notes)
	})
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		var sent struct{ Text string }
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&sent)
		if err != nil || sent.Text == "" {
			http.Error(w, `The body must be JSON like {"text": "Buy milk"}`, http.StatusUnprocessableEntity)
			return
		}
		note, err := store.Add(r.Context(), sent.Text)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusCreated, note)
	})
	return mux
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}

// fail logs an error that is no concern of the client's.
func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}
