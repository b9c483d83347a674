package page

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestBothLanguagesSayEverything(t *testing.T) {
	en, de := reflect.ValueOf(inEnglish), reflect.ValueOf(inGerman)
	compare(t, "texts", en, de)
	for _, s := range []Situation{Starting, Updating, Migrating, Failed, Standby, Unhealthy, Stopping} {
		if inEnglish.Situations[s].Headline == "" {
			t.Errorf("nothing is said of %s", s)
		}
	}
	if got := len(inEnglish.Situations); got != 7 {
		t.Errorf("there are texts for %d situations", got)
	}
	for _, text := range []*texts{&inEnglish, &inGerman} {
		for state := range maps.Keys(text.States) {
			if !slices.Contains([]string{"running", "done", "unchanged", "failed"}, state) {
				t.Errorf("there is no state %q", state)
			}
		}
	}
}

// compare fails for texts that only one language has, that are empty, or that need other values.
func compare(t *testing.T, where string, en, de reflect.Value) {
	t.Helper()
	switch en.Kind() {
	case reflect.String:
		verbs := regexp.MustCompile(`%[a-z]`)
		a, b := verbs.FindAllString(en.String(), -1), verbs.FindAllString(de.String(), -1)
		if en.Len() == 0 || de.Len() == 0 || !slices.Equal(a, b) || strings.TrimSpace(de.String()) != de.String() {
			t.Errorf("%s: %q, %q", where, en, de)
		}
	case reflect.Struct:
		for i := range en.NumField() {
			compare(t, where+"."+en.Type().Field(i).Name, en.Field(i), de.Field(i))
		}
	case reflect.Map:
		if en.Len() == 0 || en.Len() != de.Len() {
			t.Errorf("%s: %d in English, %d in German", where, en.Len(), de.Len())
		}
		for _, key := range en.MapKeys() {
			if !de.MapIndex(key).IsValid() {
				t.Errorf("%s: there is no %v in German", where, key)
				continue
			}
			compare(t, where+"."+key.String(), en.MapIndex(key), de.MapIndex(key))
		}
	default:
		t.Errorf("%s is a %s", where, en.Kind())
	}
}
