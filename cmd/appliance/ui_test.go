package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"appliance/internal/api"
)

func TestUI(t *testing.T) {
	t.Parallel()
	root := serveAPI(t, &certBackend{bus: api.NewBus(), now: api.Certificate{Source: "acme", NotAfter: time.Now().Add(48*time.Hour + time.Minute)}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"appliance", "--root", root, "ui"}, stdio{strings.NewReader(""), w, &stderr}, nil)
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(line)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	get := func(address string) string {
		t.Helper()
		res, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	room := regexp.MustCompile(`url=(/[A-Z0-9]+/)`).FindStringSubmatch(get(address))
	if room == nil {
		t.Fatal("the address does not lead on")
	}
	base, token, _ := strings.Cut(address, "/?token=")
	if page := get(base + room[1]); !strings.Contains(page, "Healthy") || !strings.Contains(page, "2 days left") {
		t.Errorf("the page is\n%s", page)
	}
	stop()
	select {
	case status := <-ended:
		if status != 0 || strings.Contains(stderr.String(), token) {
			t.Errorf("it ended with %d\n%s", status, &stderr)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}
