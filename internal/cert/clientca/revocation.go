package clientca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"appliance/internal/remedy"
)

// skew is how far ahead of our clock a list may be dated: programs have written local time for universal time.
const skew = 24 * time.Hour

// signed is a list with the authority that signed it.
type signed struct {
	*x509.RevocationList
	by *x509.Certificate
}

// attribute finds the authority of each list, and leaves out those that have none.
func attribute(cas []*x509.Certificate, lists []*x509.RevocationList) (all []signed) {
	for _, list := range lists {
		if by, err := signer(cas, list); err == nil {
			all = append(all, signed{list, by})
		}
	}
	return all
}

// check is attribute for lists that come from outside: each must have an authority, and be of a time that has been.
func check(cas []*x509.Certificate, lists []*x509.RevocationList, now time.Time) (all []signed, err error) {
	for i, list := range lists {
		by, err := signer(cas, list)
		if err != nil {
			return nil, fmt.Errorf("list %d in it %w", i+1, err)
		}
		if list.ThisUpdate.After(now.Add(skew)) {
			return nil, fmt.Errorf("list %d in it is from the future, %s", i+1, list.ThisUpdate.Format(time.RFC3339))
		}
		all = append(all, signed{list, by})
	}
	return all, nil
}

// gone answers the authorities that were taken out: those before, and, where no other has come, those that were in force.
// What is distrusted must not stay in force because its list lies about. Where another has come it and its list may come
// one after the other.
func gone(cas []*x509.Certificate, before material) (gone []*x509.Certificate) {
	gone = slices.Clone(before.gone)
	if !slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return !slices.ContainsFunc(before.cas, ca.Equal) }) {
		gone = append(gone, before.cas...)
	}
	return slices.DeleteFunc(gone, func(ca *x509.Certificate) bool { return slices.ContainsFunc(cas, ca.Equal) })
}

// withoutGone leaves out the lists of authorities that are gone, and answers beside it of which of them there are any:
// only these need to be remembered.
func withoutGone(lists []*x509.RevocationList, cas, gone []*x509.Certificate) (rest []*x509.RevocationList, of []*x509.Certificate) {
	for _, list := range lists {
		_, err := signer(cas, list)
		by, notGone := signer(gone, list)
		switch {
		case err == nil || notGone != nil:
			rest = append(rest, list)
		case !slices.ContainsFunc(of, by.Equal):
			of = append(of, by)
		}
	}
	return rest, of
}

// signer finds the authority that signed a list.
func signer(cas []*x509.Certificate, list *x509.RevocationList) (*x509.Certificate, error) {
	reason := errors.New("is of an authority that is not in " + CAFile)
	for _, ca := range cas {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		err := list.CheckSignatureFrom(ca)
		if err == nil {
			return ca, nil
		}
		reason = fmt.Errorf("is not signed as a list of its authority: %w", err)
	}
	return nil, reason
}

// join puts together what is in force: of each authority the newest of its lists, and beside it the newest before where that
// is newer still. So what was revoked stays revoked, also when the application goes back to a backup or loses the file.
func join(cas []*x509.Certificate, lists, before []signed) (material, []error) {
	m := material{cas: cas}
	var warnings []error
	for _, ca := range cas {
		newest := newestOf(ca, lists)
		if newest != nil {
			m.crls = append(m.crls, newest)
		}
		if old := newestOf(ca, before); old != nil && (newest == nil || newer(old, newest)) {
			m.crls = append(m.crls, old)
			warnings = append(warnings, steppedBack(newest, old))
		}
	}
	if len(m.crls) == 0 {
		warnings = append(warnings, remedy.With(fmt.Errorf("cannot tell which client certificates are revoked: there is no list in %s; all of the authority are good", CRLFile),
			"let the application write its list of revoked certificates"))
	}
	return m, warnings
}

func newestOf(ca *x509.Certificate, lists []signed) (newest *x509.RevocationList) {
	for _, list := range lists {
		if list.by == ca && (newest == nil || newer(list.RevocationList, newest)) {
			newest = list.RevocationList
		}
	}
	return newest
}

// newer says whether a was made after b: by their numbers, and by time where those say nothing.
func newer(a, b *x509.RevocationList) bool {
	if a.Number != nil && b.Number != nil && a.Number.Cmp(b.Number) != 0 {
		return a.Number.Cmp(b.Number) > 0
	}
	return a.ThisUpdate.After(b.ThisUpdate)
}

func steppedBack(now, before *x509.RevocationList) error {
	what := "it is not there any more"
	if now != nil {
		what = "it is older than one seen before"
	}
	return remedy.With(fmt.Errorf("cannot do with %s alone: %s; the one of %s counts on", CRLFile, what, before.ThisUpdate.Format(time.RFC3339)),
		"let the application write a list with a higher number; or, if what was revoked since is to be good again, remove "+GoodFile)
}

// aged warns of what is past its time. Such a list still counts for what it revokes.
func aged(m material, now time.Time) (warnings []error) {
	for _, ca := range m.cas {
		if now.After(ca.NotAfter) {
			warnings = append(warnings, remedy.With(fmt.Errorf("cannot verify client certificates of %q: the authority in %s has expired on %s",
				ca.Subject.String(), CAFile, ca.NotAfter.Format(time.DateOnly)), "let the application make a new authority and new client certificates"))
		}
	}
	for _, list := range m.crls {
		if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
			warnings = append(warnings, remedy.With(fmt.Errorf("cannot tell which client certificates were revoked since %s: the list in %s should have been renewed on %s",
				list.ThisUpdate.Format(time.DateOnly), CRLFile, list.NextUpdate.Format(time.DateOnly)), "let the application write its list of revoked certificates again"))
		}
	}
	return warnings
}
