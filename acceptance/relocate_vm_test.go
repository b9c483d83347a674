package acceptance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moved tells whether the host's database is on the data volume, and its move at an end.
func (b *storageBox) moved() bool {
	leads, _, _ := b.Try(b.t.Context(), "readlink", "/var/lib/postgresql")
	journal, _, _ := b.Try(b.t.Context(), "cat", moveJournal)
	return strings.TrimSpace(leads) == "/data/postgresql" && strings.Contains(journal, `"state": "in use"`)
}

const moveJournal = "/var/lib/appliance/relocations/var-lib-postgresql.json"

// awaitMove returns when the move is under way in this boot, or at an end: it has stopped the database, which a boot starts.
func (b *storageBox) awaitMove() {
	b.t.Helper()
	b.Eventually(patience, "the move of the database to begin", func() bool {
		stopped, _, _ := b.Try(b.t.Context(), "systemctl", "show", "--property", "InactiveEnterTimestampMonotonic", "--value", "postgresql")
		return strings.Trim(stopped, "0\n") != "" || b.moved()
	})
}

func (b *storageBox) awaitMoved() {
	b.t.Helper()
	b.Eventually(patience, "the database to be moved", b.moved)
}

// putBack makes the database one of the root disk again, as an operator would: there is something to move at the next start.
func (b *storageBox) putBack() {
	b.t.Helper()
	b.Run("systemctl", "stop", "postgresql")
	b.anew()
	b.Run("rm", "-r", "/var/lib/postgresql", "/var/lib/.postgresql.relocated", moveJournal)
	b.Run("cp", "--archive", "/data/postgresql", "/var/lib/")
	b.Run("rm", "-r", "/data/postgresql")
	b.Run("sync")
}

// cutInMove cuts the power at random moments while a database is moved to the data volume. It writes whenever nobody stops it,
// and what it was told to be durable has to be there ever after.
func cutInMove(b *storageBox) {
	d := database{b.t, b}
	b.anew()
	d.create("/var/lib/postgresql")
	b.Run("systemctl", "enable", "postgresql")
	before := d.base()
	durable := 0
	kept := func() {
		b.t.Helper()
		b.Eventually(patience, "the directory, or what its link leads to", func() bool {
			_, _, code := b.Try(b.t.Context(), "test", "-d", "/var/lib/postgresql/base")
			return code == 0
		})
		now := d.counted()
		if now < durable {
			b.t.Fatalf("of %d durable numbers %d are left", durable, now)
		}
		durable = max(durable, now-1) // the last may be on its way to the disk
	}
	whole := func() {
		b.t.Helper()
		kept()
		if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(d.base(), "\n")); diff != "" {
			b.t.Fatalf("what was moved (-before +after):\n%s", diff)
		}
	}
	b.Run("sync")
	b.PowerCut()

	n, seed := powerCuts(b.t, 10), rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	b.PowerOn()
	b.awaitMove()
	begun := time.Now()
	b.awaitMoved()
	took := max(time.Since(begun), 10*time.Second) // it may have been nearly over when the machine first answered
	b.t.Logf("cuts come up to %s after a move has begun", took.Round(time.Millisecond))
	whole()
	b.putBack()
	b.PowerCut()
	inMove, done := 0, 0
	for cut := 1; cut <= n; cut++ {
		b.PowerOn()
		b.awaitMove()
		wait(b.t.Context(), time.Duration(random.Int64N(int64(took)))) // the moment of the cut is the input of this test
		kept()
		moved := b.moved()
		if moved {
			done++
			whole()
			b.putBack()
		} else {
			inMove++
		}
		journal, _, _ := b.Try(b.t.Context(), "grep", "state", moveJournal)
		b.PowerCut()
		b.t.Logf("cut %d of %d: moved %v, %d durable numbers; the journal has %s", cut, n, moved, durable, strings.TrimSpace(journal))
	}
	b.PowerOn()
	b.awaitMoved()
	b.Eventually(patience, "the database to go on", func() bool { return d.counted() > durable })
	whole()
	if on := strings.Fields(b.Run("df", "--output=source", "/var/lib/postgresql/log"))[1]; on != "/dev/mapper/vg0-data" {
		b.t.Errorf("it writes to %s", on)
	}
	b.Run("systemctl", "disable", "--now", "postgresql")
	if inMove == 0 && n > 3 {
		b.t.Error("none of the cuts fell into a move")
	}
	fmt.Printf("relocation in a virtual machine: %d power cuts, %d of them during a move, %d after one, %d durable numbers and 4000 files whole each time (seed %d)\n",
		n, inMove, done, durable, seed)
}
