package rig
import "testing"
func TestTmpDisk(t *testing.T) { d, err := ensureDisk(t, baseDir(), Trixie()); t.Log(d, err) ; if err != nil { t.Fatal(err)} }
