package phases

import (
	"context"
	"time"

	"appliance/env"
	"appliance/internal/api"
	"appliance/storage/disk"
)

// volumesLimit is for making filesystems of many terabytes, and for opening them on a slow machine.
const volumesLimit = 30 * time.Minute

// volumes is what the environment wants of disks. A directory that stands for a host has none but those that it names.
func (w *walk) volumes() (*disk.Volumes, error) {
	doc, err := w.environment()
	if err != nil {
		return nil, err
	}
	wanted := doc.Volumes()
	if !w.sys.Real() && wanted.Empty() {
		return nil, nil
	}
	return disk.New(disk.Config{System: w.sys, Wanted: wanted, Log: w.log}), nil
}

func (w *walk) volumesDiffer(ctx context.Context) (string, error) {
	v, err := w.volumes()
	if v == nil || err != nil {
		return "", err
	}
	plan, err := v.Plan(ctx)
	if err != nil {
		return "", err
	}
	return plan.Work(), plan.Hinders()
}

// makeVolumes opens, mounts and, where a required filesystem is missing, makes volumes: before anything is put where they belong.
func (w *walk) makeVolumes(ctx context.Context) error {
	v, err := w.volumes()
	if v == nil || err != nil {
		return err
	}
	return v.Apply(ctx, func(s disk.Step) {
		if s.State != disk.Done {
			w.log.Info("volumes: "+s.What, "why", s.Why)
		}
	})
}

func (w *walk) planVolumes(ctx context.Context) (changes []api.Change, err error) {
	v, err := w.volumes()
	if v == nil || err != nil {
		return nil, err
	}
	plan, err := v.Plan(ctx)
	if err == nil {
		err = plan.Hinders()
	}
	for _, s := range plan.Steps {
		if s.State != disk.Done {
			changes = append(changes, api.Change{Action: "change", Why: s.What + ": " + s.Why})
		}
	}
	return changes, err
}

// Volumes answers the volumes that a start would want now, by the environment that it would take. With all, also what is missing
// while every required filesystem is there is made. Nothing is changed yet.
func Volumes(ctx context.Context, cfg Config, all bool) (*disk.Volumes, error) {
	doc, err := found(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return disk.New(disk.Config{System: cfg.System, Wanted: doc.Volumes(), All: all, Log: cfg.Log}), nil
}

// found is the environment that a start would take now.
func found(ctx context.Context, cfg Config) (*env.Document, error) {
	w := readingWalk(cfg)
	if _, err := w.findEnv(ctx); err != nil {
		return nil, err
	}
	return w.candidate, w.candidate.Validate()
}
