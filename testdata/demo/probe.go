package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// probe answers nil when its target is healthy: a URL that answers 2xx, or a
// file that is younger than --fresh.
func probe(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	fresh := flags.Duration("fresh", 0, "how old the file may be")
	timeout := flags.Duration("timeout", 2*time.Second, "how long an answer may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("probe wants one URL or file")
	}
	target := flags.Arg(0)
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		return probeURL(ctx, target)
	}
	return probeFile(target, *fresh, time.Now())
}

func probeURL(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		// The engine keeps the output of a failed health check, and an
		// operator reads the reason there.
		body, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("%s answers %s: %s", url, res.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func probeFile(path string, fresh time.Duration, now time.Time) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if age := now.Sub(info.ModTime()); fresh > 0 && age > fresh {
		return fmt.Errorf("%s is %s old, allowed are %s", path, age.Round(time.Millisecond), fresh)
	}
	return nil
}
