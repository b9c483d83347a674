package disk

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
)

// lvmReport is what LVM knows.
type lvmReport struct {
	PV []struct {
		Name   string `json:"pv_name"`
		UUID   string `json:"pv_uuid"`
		Group  string `json:"vg_name"`
		Start  string `json:"pe_start"`
		Size   string `json:"pv_size"`
		Device string `json:"dev_size"`
		Extent string `json:"vg_extent_size"`
	}
	VG []struct {
		Name    string `json:"vg_name"`
		Extent  string `json:"vg_extent_size"`
		Extents string `json:"vg_extent_count"`
		Free    string `json:"vg_free_count"`
		Missing string `json:"vg_missing_pv_count"`
	}
	LV []struct {
		Name   string `json:"lv_name"`
		Group  string `json:"vg_name"`
		Tags   string `json:"lv_tags"`
		Size   string `json:"lv_size"`
		Active string `json:"lv_active"`
	}
}

// volumesOf asks LVM for what there is.
func (r *run) volumesOf(ctx context.Context) (all lvmReport, err error) {
	if r.lvm != nil {
		return *r.lvm, nil
	}
	for _, q := range [][2]string{{"pvs", "pv_name,pv_uuid,vg_name,pe_start,pv_size,dev_size,vg_extent_size"}, {"vgs", "vg_name,vg_extent_size,vg_extent_count,vg_free_count,vg_missing_pv_count"},
		{"lvs", "lv_name,vg_name,lv_tags,lv_size,lv_active"}} {
		out, err := r.sys.Query(ctx, q[0], "--reportformat", "json", "--units", "b", "--nosuffix", "--options", q[1])
		if err != nil {
			return all, fmt.Errorf("cannot look at the volumes of LVM: %w", err)
		}
		var read struct{ Report []lvmReport }
		if err := json.Unmarshal([]byte(out), &read); err != nil {
			return all, fmt.Errorf("cannot read what %s says: %w", q[0], err)
		}
		for _, part := range read.Report {
			all.PV, all.VG, all.LV = append(all.PV, part.PV...), append(all.VG, part.VG...), append(all.LV, part.LV...)
		}
	}
	r.lvm = &all
	return all, nil
}

func groupOf(groups []env.Group, device string) string {
	for _, g := range groups {
		if slices.Contains(g.Devices, device) {
			return g.Name
		}
	}
	return ""
}

// pv is a physical volume.
type pv struct{ dev, group string }

func (p *pv) name() string    { return "physical volume " + p.dev }
func (p *pv) device() string  { return p.dev }
func (p *pv) needs() []string { return []string{p.dev} }
func (p *pv) makes() []string { return []string{"pv " + p.dev} }

func (p *pv) command(d *Device, uuid string) []string {
	return []string{"pvcreate", "--norestorefile", "--uuid", uuid, d.Path}
}

func (p *pv) see(ctx context.Context, r *run, d *Device) (Step, error) {
	all, err := r.volumesOf(ctx)
	if err != nil {
		return Step{}, err
	}
	e := r.journal.of(p.name())
	for _, have := range all.PV {
		if r.find(have.Name) != d {
			continue
		}
		switch {
		case p.group != "" && have.Group == p.group, p.group == "" && have.Group != "":
			return Step{State: Done, Why: "it is one of the group " + have.Group}, nil
		case have.Group == "" && e != nil && e.UUIDs["pv"] == have.UUID:
			return Step{State: Done, Why: "it is one, and in no group yet"}, nil
		case have.Group != "":
			return Step{State: Refused, Why: "it belongs to the group " + have.Group, anew: true}, nil
		}
	}
	v, err := p.verdict(ctx, r, d)
	return v.judged(strings.Join(p.command(d, "…"), " ")), err
}

// verdict judges the device: a label with the identifier that was chosen for it, and with nothing behind it, is half of ours.
func (p *pv) verdict(ctx context.Context, r *run, d *Device) (verdict, error) {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return verdict{}, err
	}
	e := r.journal.of(p.name())
	return r.mayReplace(ctx, p.name(), d, e != nil && e.Done == nil && has.kind == "LVM2_member" && has.uuid == e.UUIDs["pv"])
}

func (p *pv) take(ctx context.Context, r *run, d *Device) error {
	v, err := p.verdict(ctx, r, d)
	if err != nil || !v.may {
		return cmp.Or(err, v.refusal())
	}
	uuids := r.journal.chosen(p.name(), v, map[string]string{"pv": lvmUUID(newUUID())})
	if err := r.start(ctx, entry{Step: p.name(), UUIDs: uuids, Serial: v.serial}, d, v.wipe || v.resume, uuids["pv"]); err != nil {
		return err
	}
	_, err = r.sys.Command(ctx, p.command(d, uuids["pv"])...)
	return err
}

// lvmUUID writes a UUID as LVM has them: 32 letters and digits in groups of 6, 4, 4, 4, 4, 4 and 6.
func lvmUUID(uuid string) string {
	s := strings.ReplaceAll(uuid, "-", "")
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}

// vg is a volume group.
type vg struct{ env.Group }

func (g *vg) name() string    { return "group " + g.Name }
func (g *vg) device() string  { return "" }
func (g *vg) makes() []string { return []string{"vg " + g.Name} }

func (g *vg) needs() (names []string) {
	for _, device := range g.Devices {
		names = append(names, "pv "+device)
	}
	return names
}

func (g *vg) command(devices []string) []string {
	argv := []string{"vgcreate"} // without --yes: it would take a device that is no physical volume for one
	for _, option := range g.Options {
		argv = append(argv, option.String())
	}
	return append(append(argv, g.Name), devices...)
}

// lacking answers those devices that are not in the group yet, and whether there is the group.
func (g *vg) lacking(ctx context.Context, r *run) (devices []string, exists bool, missing string, err error) {
	all, err := r.volumesOf(ctx)
	if err != nil {
		return nil, false, "", err
	}
	for _, have := range all.VG {
		if have.Name == g.Name {
			exists, missing = true, have.Missing
		}
	}
	for _, name := range g.Devices {
		d, in := r.find(name), false
		for _, have := range all.PV {
			in = in || d != nil && have.Group == g.Name && r.find(have.Name) == d
		}
		if !in {
			devices = append(devices, name)
		}
	}
	return devices, exists, missing, nil
}

func (g *vg) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	devices, exists, missing, err := g.lacking(ctx, r)
	switch {
	case err != nil:
		return Step{}, err
	case exists && missing != "" && missing != "0":
		return Step{State: Refused, Why: missing + " of its devices are missing"}, nil
	case exists && len(devices) == 0:
		return Step{State: Done, Why: "it is there"}, nil
	case exists:
		return Step{State: ToDo, Why: "it is without " + strings.Join(devices, ", "), Commands: []string{"vgextend " + g.Name + " " + strings.Join(devices, " ")}, anew: true}, nil
	}
	return Step{State: ToDo, Why: "there is none of that name", Commands: []string{strings.Join(g.command(devices), " ")}, anew: true}, nil
}

func (g *vg) take(ctx context.Context, r *run, _ *Device) error {
	devices, exists, _, err := g.lacking(ctx, r)
	if err != nil {
		return err
	}
	e := entry{Step: g.name()}
	var paths []string
	for _, name := range devices {
		d := r.find(name)
		if d == nil {
			return fmt.Errorf("cannot find %s", name)
		}
		e.Devices = append(e.Devices, identityOf(d))
		paths = append(paths, d.Path)
	}
	if err := r.journal.begin(e); err != nil {
		return err
	}
	if exists {
		_, err = r.sys.Command(ctx, append([]string{"vgextend", g.Name}, paths...)...)
	} else {
		_, err = r.sys.Command(ctx, g.command(paths)...)
	}
	return err
}

// lv is a logical volume.
type lv struct{ env.LV }

func lvNames(l env.LV) []string {
	double := strings.NewReplacer("-", "--")
	return []string{"/dev/" + l.Group + "/" + l.Name, "/dev/mapper/" + double.Replace(l.Group) + "-" + double.Replace(l.Name)}
}

func (l *lv) name() string   { return "volume " + l.Group + "/" + l.Name }
func (l *lv) device() string { return "" }

func (l *lv) needs() []string {
	if !l.Expand {
		return []string{"vg " + l.Group}
	}
	return []string{"vg " + l.Group, room("vg " + l.Group)}
}

func (l *lv) makes() []string {
	names := lvNames(l.LV)
	return append(names, room(names[0]), room(names[1]))
}

func (l *lv) sized() []string {
	if l.Size > 0 {
		return []string{"--size", strconv.FormatUint(l.Size, 10) + "b"}
	}
	return []string{"--extents", l.Extents}
}

func (l *lv) command(tag string) []string {
	argv := append([]string{"lvcreate", "--yes", "--wipesignatures", "y", "--zero", "y", "--addtag", tag, "--name", l.Name}, l.sized()...)
	for _, option := range l.Options {
		argv = append(argv, option.String())
	}
	return append(argv, l.Group)
}

func (l *lv) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	all, err := r.volumesOf(ctx)
	if err != nil {
		return Step{}, err
	}
	e := r.journal.of(l.name())
	for _, have := range all.LV {
		if have.Name != l.Name || have.Group != l.Group {
			continue
		}
		switch {
		case e != nil && e.Done == nil && e.UUIDs["tag"] != "" && slices.Contains(strings.Split(have.Tags, ","), e.UUIDs["tag"]):
			return Step{State: ToDo, Why: "it was begun and is not finished", Commands: []string{"blkdiscard --zeroout " + lvNames(l.LV)[0]}, anew: true}, nil
		case have.Active != "active":
			return Step{State: ToDo, Why: "it is not active", Commands: []string{strings.Join(l.activate(), " ")}}, nil
		}
		if wants := l.growth(all, have.Size); wants != nil {
			return Step{State: ToDo, Why: "it is to grow", Commands: []string{strings.Join(wants, " ")}}, nil
		}
		return Step{State: Done, Why: "it is there"}, nil
	}
	return Step{State: ToDo, Why: "there is none of that name", Commands: []string{strings.Join(l.command("…"), " ")}, anew: true}, nil
}

// growth is the command that makes an existing volume as large as it should be; nil where it is. Nothing is made smaller.
func (l *lv) growth(all lvmReport, size string) []string {
	if !l.Expand {
		return nil
	}
	have, want := number(size), l.Size
	for _, group := range all.VG {
		extent := number(group.Extent)
		if group.Name != l.Group || extent == 0 {
			continue
		}
		switch share, of, _ := strings.Cut(l.Extents, "%"); {
		case l.Size > 0:
			want = (l.Size + extent - 1) / extent * extent
		case of == "":
			want = number(share) * extent
		case of == "VG":
			want = number(group.Extents) * number(share) / 100 * extent
		case of == "FREE" && share == "100":
			want = have + number(group.Free)*extent
		}
	}
	if want <= have {
		return nil
	}
	return []string{"lvextend", "--size", strconv.FormatUint(want, 10) + "b", l.Group + "/" + l.Name}
}

// use activates a volume that is there, and makes it as large as it should be.
func (l *lv) use(ctx context.Context, r *run) error {
	all, err := r.volumesOf(ctx)
	if err != nil {
		return err
	}
	for _, have := range all.LV {
		if have.Name != l.Name || have.Group != l.Group {
			continue
		}
		if have.Active != "active" {
			if _, err := r.sys.Command(ctx, l.activate()...); err != nil {
				return err
			}
		}
		if wants := l.growth(all, have.Size); wants != nil {
			return r.grows(ctx, "size of the "+l.name(), &Device{Path: lvNames(l.LV)[0]}, "", wants...)
		}
	}
	return nil
}

func (l *lv) activate() []string {
	return []string{"lvchange", "--activate", "y", l.Group + "/" + l.Name}
}

func (l *lv) take(ctx context.Context, r *run, _ *Device) error {
	step, err := l.see(ctx, r, nil)
	if err != nil {
		return err
	}
	if !step.anew {
		return l.use(ctx, r)
	}
	if e := r.journal.of(l.name()); e == nil || e.Done != nil || !strings.HasPrefix(step.Why, "it was begun") {
		tag := "appliance-" + newUUID()
		if err := r.journal.begin(entry{Step: l.name(), UUIDs: map[string]string{"tag": tag}}); err != nil {
			return err
		}
		if _, err := r.sys.Command(ctx, l.command(tag)...); err != nil {
			return err
		}
	} else if _, err := r.sys.Command(ctx, l.activate()...); err != nil {
		return err
	}
	if err := r.again(ctx); err != nil {
		return err
	}
	d := r.find(lvNames(l.LV)[0])
	if d == nil {
		return fmt.Errorf("cannot find %s: %w", lvNames(l.LV)[0], errKernel("dm_mod"))
	}
	has, err := contentOf(ctx, r.sys, d)
	if err != nil || has.kind != "" || has.table != "" { // somebody has used it meanwhile
		return err
	}
	return r.empty(ctx, d.Path, [2]uint64{0, d.Size})
}
