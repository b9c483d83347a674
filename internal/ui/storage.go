package ui

import (
	"math"

	"appliance/internal/api"
)

// volumeView is one file system.
type volumeView struct {
	Path       string
	Used       float64 // percent
	Size, Free uint64
	Files      uint64
	Tone       string
	Problem    string
	ToDo       string
}

// storageView is all of them, or why nothing is known.
type storageView struct {
	Volumes []volumeView
	Trouble string
}

// levelTones are those of the levels that free space leads to.
var levelTones = map[string]string{"warn": warn, "hold": bad, "protect": bad}

// Shares of a file system that are used, in percent, from which it looks full where a supervisor before this one tells no level.
const (
	fullSoon = 80
	full     = 92
)

func newStorageView(s api.Storage, trouble string) storageView {
	v := storageView{Trouble: trouble}
	for _, volume := range s.Volumes {
		row := volumeView{Path: volume.Path, Size: volume.Size, Free: volume.Free, Files: volume.Files, Tone: good, Problem: volume.Problem, ToDo: volume.ToDo}
		if volume.Size > 0 {
			row.Used = math.Round(1000*(1-min(1, float64(volume.Free)/float64(volume.Size)))) / 10
		}
		switch {
		case volume.ToDo != "", levelTones[volume.Level] == bad, volume.Level == "" && row.Used >= full:
			row.Tone = bad
		case volume.Problem != "", levelTones[volume.Level] == warn, volume.Level == "" && row.Used >= fullSoon:
			row.Tone = warn
		}
		v.Volumes = append(v.Volumes, row)
	}
	return v
}
