package cert

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"appliance/internal/remedy"
)

// strangers lists the places of our links where another program has put something of its own.
func (s *store) strangers() (places []string, err error) {
	for _, link := range links {
		if s.linked(link.path, link.target) || !s.sys.Exists(link.path) {
			continue
		}
		if info, err := s.sys.Stat(link.path); err == nil && !info.Mode().IsRegular() { // reading a pipe would wait for ever
			return nil, remedy.With(fmt.Errorf("cannot use %s: it is no file", link.path), "move it out of the way")
		}
		places = append(places, link.path)
	}
	return places, nil
}

// adopt takes over the pair that another program has put in place of our links, and puts it in force, so that the links can take
// the place of its files without a moment in which the key and the certificate differ. What is no pair is kept apart.
func (s *store) adopt(v *survey) error {
	places, err := s.strangers()
	if err != nil || !slices.Contains(places, links[0].path) && !slices.Contains(places, links[1].path) {
		return err
	}
	p, err := s.inPlace()
	if err != nil {
		return s.setAside(places)
	}
	g, err := s.adoptPair(v, p)
	if err != nil {
		return err
	}
	return s.point(v, g)
}

// adoptPair stores what another program has put into our places, unless that was done before a cut.
func (s *store) adoptPair(v *survey, p pair) (generation, error) {
	p.Source = Adopted
	if signedByItself(p.leaf) {
		p.Source = SelfSigned
	}
	if i := slices.IndexFunc(v.generations, func(g generation) bool { return g.holds(p) }); i >= 0 {
		return v.generations[i], nil
	}
	return s.add(v, p, false)
}

// inPlace reads the pair that other programs find. Behind one of the two names our link may be already.
func (s *store) inPlace() (pair, error) {
	var texts [2][]byte
	for i := range texts {
		info, err := s.sys.Stat(links[i].path)
		if err != nil {
			return pair{}, err
		}
		if info.Size() > maxText {
			return pair{}, fmt.Errorf("%s is too large", links[i].path)
		}
		if texts[i], err = s.sys.ReadFile(links[i].path); err != nil {
			return pair{}, err
		}
	}
	return decode(texts[0], texts[1])
}

// setAside copies files that cannot be used to where nobody looks for them, before links take their place.
func (s *store) setAside(places []string) error {
	for _, place := range places {
		info, err := os.Lstat(s.sys.Path(place))
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxText {
			continue
		}
		data, err := s.sys.ReadFile(place)
		if err == nil {
			err = s.sys.Mkdir(storeDir, 0o755)
		}
		if err == nil {
			err = s.sys.WriteFile(path.Join(foundDir, path.Base(place)), data, fs.FileMode(0o600))
		}
		if err != nil {
			return fmt.Errorf("cannot set %s aside: %w", place, err)
		}
	}
	return nil
}
