// Package compose brings a compose project to life on a container engine and watches over it. It is the only package
// that imports the Compose SDK and the engine's client. Every request that may change the engine passes the host's
// observer first, so it can be counted, denied or cut.
package compose

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
	"github.com/sirupsen/logrus"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Config says which engine to drive, and how.
type Config struct {
	System   *system.System
	Host     string // "unix:///run/docker.sock"; "" is DOCKER_HOST or the engine's default
	ReadOnly bool   // deny every request that could change the engine, in the transport
	Log      *slog.Logger
}

// Engine is a container engine. Its methods are safe for concurrent use, save that a project is worked on by one at a time.
type Engine struct {
	cfg    Config
	client *client.Client
	cli    *command.DockerCli
}

// Open prepares the way to the engine; it does not connect. Close it when done.
func Open(cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg}
	opts := []client.Opt{client.FromEnv, client.WithHTTPRequestHook(e.before), client.WithHTTPResponseHook(e.after)}
	if cfg.Host != "" {
		opts = append(opts, client.WithHost(cfg.Host))
	}
	var err error
	if e.client, err = client.New(opts...); err != nil {
		return nil, fmt.Errorf("cannot prepare the engine client: %w", err)
	}
	redirectSDKLog(cfg.Log)
	e.cli, err = command.NewDockerCli(command.WithAPIClient(e.client), command.WithCombinedStreams(io.Discard))
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the compose client: %w", err)
	}
	// The host is named so that no docker context of some user decides where the appliance lives.
	if err := e.cli.Initialize(&flags.ClientOptions{Hosts: []string{e.client.DaemonHost()}}); err != nil {
		return nil, fmt.Errorf("cannot prepare the compose client: %w", err)
	}
	return e, nil
}

// Close gives the connections back.
func (e *Engine) Close() error { return e.client.Close() }

// Host is where the engine is expected.
func (e *Engine) Host() string { return e.client.DaemonHost() }

const startEngine = "start the engine (`systemctl start docker`) and look at `journalctl -u docker`"

// lost adds the way out to an error that comes of an engine which went away.
func lost(err error) error {
	if client.IsErrConnectionFailed(err) {
		return remedy.Passing(remedy.With(err, startEngine))
	}
	return err
}

// Ping says whether the engine answers.
func (e *Engine) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := e.client.Ping(ctx, client.PingOptions{}); err != nil {
		return remedy.With(fmt.Errorf("cannot reach the container engine at %s: %w", e.Host(), err), startEngine)
	}
	return nil
}

func (e *Engine) service(events api.EventProcessor, opts ...sdk.Option) (api.Compose, error) {
	opts = append([]sdk.Option{sdk.WithEventProcessor(events), sdk.WithPrompt(declineAll)}, opts...)
	service, err := sdk.NewComposeService(e.cli, opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the compose client: %w", err)
	}
	return service, nil
}

// declineAll answers the SDK's questions. It asks before it destroys data, and nobody is here to agree.
func declineAll(question string, _ bool) (bool, error) {
	return false, fmt.Errorf("refused, because it would lose data: %s", strings.TrimSuffix(question, "?"))
}

// before sees each request before it is sent.
func (e *Engine) before(req *http.Request) error {
	if !mutates(req) {
		return nil
	}
	if e.cfg.ReadOnly {
		return fmt.Errorf("%w: engine %s", system.ErrReadOnly, describe(req))
	}
	return e.cfg.System.Observe("engine", describe(req))
}

func (e *Engine) after(res *http.Response) {
	if res.Request != nil && mutates(res.Request) {
		_ = e.cfg.System.Observe("engine-done", describe(res.Request)) // it has happened: nothing left to deny
	}
}

func mutates(req *http.Request) bool {
	return req.Method != http.MethodGet && req.Method != http.MethodHead
}

// describe names a request without its API version and without its query, which may carry secrets.
func describe(req *http.Request) string {
	path := req.URL.Path
	if rest, ok := strings.CutPrefix(path, "/v1."); ok {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	return req.Method + " " + path
}

// redirected guards the SDK's logger, which the whole process shares as the SDK does.
var redirected sync.Once

// redirectSDKLog sends what the SDK logs through its global logger to ours: that of the engine opened first.
func redirectSDKLog(log *slog.Logger) {
	redirected.Do(func() {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.WarnLevel)
		logrus.AddHook(sdkLog{log})
	})
}

type sdkLog struct{ log *slog.Logger }

func (sdkLog) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel, logrus.WarnLevel} }

func (l sdkLog) Fire(entry *logrus.Entry) error {
	l.log.Warn(strings.ReplaceAll(entry.Message, "\n", " "), "from", "compose")
	return nil
}
