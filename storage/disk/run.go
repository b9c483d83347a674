package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/remedy"
)

// task is one step that is known how to see and to take.
type task interface {
	name() string    // also in the journal
	device() string  // by the name of the environment; "" is none
	needs() []string // devices that must be there
	makes() []string // devices that are there afterwards
	see(ctx context.Context, r *run, d *Device) (Step, error)
	take(ctx context.Context, r *run, d *Device) error
}

// run is one look at the host with what is to be done there.
type run struct {
	*Volumes
	*host
	journal *journal
	tasks   []task
	absent  []string // required labels that no filesystem has
}

func (v *Volumes) begin(ctx context.Context) (*run, error) {
	j, err := openJournal(v.sys)
	if err != nil {
		return nil, err
	}
	h, err := look(ctx, v.sys, v.wanted)
	if err != nil {
		return nil, err
	}
	r := &run{Volumes: v, host: h, journal: j}
	for _, label := range v.wanted.Required() {
		if len(h.labelled(label)) == 0 {
			r.absent = append(r.absent, label)
		}
	}
	r.tasks, err = inOrder(v.tasks())
	return r, err
}

// again looks anew, after something was done.
func (r *run) again(ctx context.Context) (err error) {
	r.settle(ctx)
	r.host, err = look(ctx, r.sys, r.wanted)
	return err
}

// settle waits for udev, which makes the names of devices. Without one the kernel makes what is needed.
func (r *run) settle(ctx context.Context) {
	if r.sys.HasProgram("udevadm") {
		_, _ = r.sys.Query(ctx, "udevadm", "settle", "--timeout=30") // what is missing then will be seen
	}
}

// tasks lists what the environment asks for, in the order of its parts.
func (v *Volumes) tasks() (list []task) {
	w := v.wanted
	for _, d := range w.Disks {
		list = append(list, &table{d})
	}
	for _, a := range w.Arrays {
		list = append(list, &array{a})
	}
	for _, c := range w.Crypts {
		list = append(list, &crypt{c})
	}
	for _, device := range w.PVs {
		list = append(list, &pv{device, groupOf(w.Groups, device)})
	}
	for _, g := range w.Groups {
		list = append(list, &vg{g})
	}
	list = append(list, v.growBelow()...)
	for _, l := range w.LVs {
		list = append(list, &lv{l})
	}
	for _, f := range w.Formats {
		list = append(list, &format{f})
	}
	for _, device := range w.Swaps {
		if !slices.ContainsFunc(list, func(t task) bool { f, ok := t.(*format); return ok && f.Device == device }) {
			list = append(list, &format{swapOn(device)})
		}
	}
	list = append(append(list, v.mounts()...), v.growAbove()...) // XFS grows only where it is mounted, and ext4 survives a cut there
	if w.GrowRoot {
		list = append(list, &growRoot{})
	}
	return list
}

// inOrder puts a task behind those that make its devices, and leaves the order as it is otherwise.
func inOrder(list []task) (ordered []task, err error) {
	for len(list) > 0 {
		made := map[string]bool{}
		for _, t := range list {
			for _, name := range t.makes() {
				made[name] = true
			}
		}
		next := slices.IndexFunc(list, func(t task) bool {
			return !slices.ContainsFunc(t.needs(), func(name string) bool { return made[name] && !slices.Contains(t.makes(), name) })
		})
		if next < 0 {
			return nil, remedy.With(fmt.Errorf("cannot order the volumes: %s is made of itself", list[0].device()), "see appliance.storage.setup")
		}
		ordered = append(ordered, list[next])
		list = slices.Delete(list, next, next+1)
	}
	return ordered, nil
}

// see tells how a task stands. ahead are devices that are not there yet, and will be.
func (r *run) see(ctx context.Context, t task, ahead map[string]bool) (Step, error) {
	step := Step{What: t.name(), State: Done}
	for _, name := range t.needs() {
		if ahead[name] && r.find(name) == nil {
			step.State, step.Why = Waits, made.Replace(name)+" is not there yet"
			return step, nil
		}
	}
	var d *Device
	if name := t.device(); name != "" {
		if d = r.find(name); d == nil {
			step.State, step.Why, step.gone = Refused, "there is no device "+name, true
			return r.unneeded(t, step), nil
		}
	}
	seen, err := t.see(ctx, r, d)
	if err != nil {
		return step, fmt.Errorf("cannot plan %s: %w", t.name(), err)
	}
	seen.What, seen.Device = t.name(), d
	if seen.anew {
		return r.unneeded(t, seen), nil
	}
	return seen, nil
}

// made says in words what is no device by itself.
var made = strings.NewReplacer("room vg ", "new room in the group ", "room /", "new room on /", "pv /", "the physical volume /", "vg ", "the group ", "fs /", "the filesystem on /")

// unneeded lets things be as they are while every required filesystem is there. A mount that cannot be is no such thing: its
// directory would be filled in its place.
func (r *run) unneeded(t task, step Step) Step {
	if _, isMount := t.(*mount); isMount || step.State == Done || r.wantsNew() {
		return step
	}
	step.State, step.Commands = Done, nil
	step.Why = unmade + " (" + step.Why + ")"
	return step
}

const unmade = "not made, since every required filesystem is there"

// wantsNew says whether something may be made anew: a required filesystem is missing, or something was begun before.
func (r *run) wantsNew() bool {
	if r.all || len(r.absent) > 0 || len(r.wanted.Required()) == 0 {
		return true
	}
	e := r.journal.of(allVolumes) // a growth that was cut off is no order to make anything
	return e != nil && e.Done == nil
}

// lockPath is held while volumes are made: by the supervisor or by an operator.
const lockPath = "/run/appliance/storage.lock"

// ErrRefused says that a step would destroy something or cannot work.
var ErrRefused = errors.New("refused")

// Apply takes the steps that have work, each after a fresh look. progress is told of each one, before it is taken and
// with what came of it.
func (v *Volumes) Apply(ctx context.Context, progress func(Step)) error {
	plan, err := v.Plan(ctx)
	if err != nil {
		return err
	}
	if err := plan.Hinders(); err != nil || plan.Work() == "" {
		return err
	}
	lock, err := v.sys.Lock(lockPath)
	if err != nil {
		return remedy.With(err, "wait until the other one has ended: the supervisor, or `appliance storage apply`")
	}
	defer lock.Close()
	r, err := v.begin(ctx)
	if err != nil {
		return err
	}
	if err := r.beginAll(); err != nil {
		return err
	}
	for _, t := range r.tasks {
		if err := r.step(ctx, t, progress); err != nil {
			return err
		}
	}
	if err := r.journal.end(allVolumes); err != nil {
		return err
	}
	return r.journal.forget()
}

// allVolumes is begun when something is to be made, and finished when all is there: what a cut left to be made after the required
// filesystems is made then.
const allVolumes = "all volumes"

func (r *run) beginAll() error {
	if e := r.journal.of(allVolumes); !r.wantsNew() || e != nil && e.Done == nil {
		return nil
	}
	return r.journal.begin(entry{Step: allVolumes})
}

// step takes one step if it has work, and sees whether that is then done.
func (r *run) step(ctx context.Context, t task, progress func(Step)) error {
	step, err := r.see(ctx, t, nil)
	if err == nil && step.State == Done {
		err = r.found(t, step)
		progress(step)
		return err
	}
	if err == nil {
		err = step.refusal()
	}
	if err != nil {
		return err
	}
	progress(step)
	for _, name := range append(t.needs(), t.device()) { // what is on a device is looked at right before it is given something else
		if d := r.find(name); d != nil {
			if err := d.probe(ctx, r.sys); err != nil {
				return err
			}
		}
	}
	if err := t.take(ctx, r, r.find(t.device())); err != nil {
		return remedy.With(fmt.Errorf("cannot finish %s: %w", t.name(), err), remedy.Of(err))
	}
	if err := r.journal.end(t.name()); err != nil {
		return err
	}
	if err := r.again(ctx); err != nil {
		return err
	}
	step, err = r.see(ctx, t, nil)
	if err == nil && step.State != Done {
		err = fmt.Errorf("cannot finish %s: all went well, but %s", t.name(), step.Why)
	}
	if err == nil {
		progress(step)
	}
	return err
}

// found ends what was begun and, as can be seen, finished before the journal could say so.
func (r *run) found(t task, step Step) error {
	if e := r.journal.of(t.name()); e == nil || e.Done != nil || strings.HasPrefix(step.Why, unmade) {
		return nil
	}
	return r.journal.end(t.name())
}

// Hinders says why nothing can be begun: programs are missing, or steps are refused. nil is that it can.
func (p Plan) Hinders() error {
	if len(p.Missing) > 0 {
		var names, packages []string
		for _, tool := range p.Missing {
			names = append(names, tool.Program)
			packages = append(packages, tool.Package)
		}
		slices.Sort(packages)
		return remedy.With(fmt.Errorf("cannot set up volumes: there is no %s", strings.Join(names, ", ")),
			"run `apt-get install "+strings.Join(slices.Compact(packages), " ")+"`, or what your distribution has by that name")
	}
	for _, step := range p.Steps {
		if err := step.refusal(); err != nil {
			return err
		}
	}
	return nil
}

func (s Step) refusal() error {
	if s.State != Refused {
		return nil
	}
	err := remedy.With(fmt.Errorf("cannot go on with %s: %w: %s", s.What, ErrRefused, s.Why), s.remedy())
	if s.gone {
		return remedy.Passing(err) // it may only be late
	}
	return err
}

func (s Step) remedy() string {
	if s.Device == nil {
		return "see `appliance storage plan`, and appliance.storage.setup in the environment"
	}
	todo := "see what is on it with `lsblk -f " + s.Device.Path + "`; to give it up, "
	if s.Device.Serial != "" {
		return todo + "write its serial number " + s.Device.Serial + " to appliance.storage.overwrite"
	}
	return todo + "wipe it by hand (`wipefs --all`, `blkdiscard --zeroout`), as it has no serial number"
}

// newUUID is a random one, as RFC 9562 has it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// await waits until something is so.
func await(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("cannot wait any longer for %s", what))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := is(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
