package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// jobEvery is how often the worker appends a job.
	jobEvery = time.Second
	// storeAnswers is how long web waits for the store before it calls itself
	// unhealthy. It is shorter than the probe's own patience, so that the
	// probe gets to see the reason.
	storeAnswers = time.Second
)

// client ignores HTTP_PROXY, which a host behind a proxy hands to all its
// containers: the roles are one network hop apart.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}

func runStore(ctx context.Context, cfg config) error {
	j, err := openJournal(cfg.dir, cfg.log)
	if err != nil {
		return fmt.Errorf("cannot open the journal in %s: %w", cfg.dir, err)
	}
	return serve(ctx, cfg, cfg.addrOr(defaultAddr["store"]), storeHandler(j, cfg.fail))
}

func storeHandler(j *journal, fail failure) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health(fail, func(context.Context) error { return nil }))
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, j.stats())
	})
	mux.HandleFunc("GET /check", func(w http.ResponseWriter, _ *http.Request) {
		t, err := j.check()
		verdict := struct {
			totals
			OK    bool   `json:"ok"`
			Error string `json:"error,omitempty"`
		}{totals: t, OK: err == nil}
		status := http.StatusOK
		if err != nil {
			verdict.Error, status = err.Error(), http.StatusInternalServerError
		}
		answer(w, status, verdict)
	})
	for path, k := range map[string]kind{"POST /jobs": job, "POST /visits": visit} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			t, err := j.append(k)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			answer(w, http.StatusCreated, t)
		})
	}
	return mux
}

func runWeb(ctx context.Context, cfg config) error {
	return serve(ctx, cfg, cfg.addrOr(defaultAddr["web"]), webHandler(cfg.store, cfg.fail))
}

const page = `<!doctype html>
<title>appliance demo</title>
<h1>It works.</h1>
<p>Visits: %d
<p>Jobs done: %d
`

func webHandler(store string, fail failure) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health(fail, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, storeAnswers)
		defer cancel()
		return probeURL(ctx, store+"/healthz")
	}))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		t, err := post(r.Context(), store+"/visits")
		if err != nil {
			http.Error(w, "the store does not answer: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, page, t.Visits, t.jobs())
	})
	return mux
}

// runWorker appends a job a second. Its heartbeat is written only after the
// store took a job, so that its health is that of its work.
func runWorker(ctx context.Context, cfg config) error {
	if err := os.MkdirAll(filepath.Dir(cfg.heartbeat), 0o755); err != nil {
		return err
	}
	var last string
	for {
		err := work(ctx, cfg)
		text := "works"
		if err != nil {
			text = "cannot append a job: " + err.Error()
		}
		// A store that is away for an hour is one line in the log, not 3600.
		if ctx.Err() == nil && text != last {
			fmt.Fprintln(cfg.log, "demo: worker:", text)
			last = text
		}
		if !sleep(ctx, jobEvery) {
			return nil
		}
	}
}

func work(ctx context.Context, cfg config) error {
	if _, err := post(ctx, cfg.store+"/jobs"); err != nil {
		return err
	}
	if cfg.fail == failUnhealthy {
		return nil
	}
	return os.WriteFile(cfg.heartbeat, nil, 0o644)
}

func health(fail failure, check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := check(r.Context())
		if fail == failUnhealthy {
			err = fmt.Errorf("DEMO_FAIL=%s says so", fail)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

func post(ctx context.Context, url string) (totals, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return totals{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return totals{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return totals{}, fmt.Errorf("%s answers %s", url, res.Status)
	}
	var t totals
	return t, json.NewDecoder(res.Body).Decode(&t)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away is no error of ours.
	_ = json.NewEncoder(w).Encode(v)
}
