package s3xml

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"shoal/node/api"
)

func TestParseVersioning(t *testing.T) {
	for doc, want := range map[string]Versioning{
		"<Status>Enabled</Status>":                                  {Status: "Enabled"},
		"<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>": {Status: "Suspended", MFADelete: "Disabled"},
		"": {},
	} {
		got, err := ParseVersioning([]byte("<VersioningConfiguration>" + doc + "</VersioningConfiguration>"))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", doc, got, err)
		}
	}
	for _, doc := range []string{"<Status>enabled</Status>", "<Status/>", "<Status>Enabled</Status><Status>Enabled</Status>", "<MfaDelete>yes</MfaDelete>"} {
		if _, err := ParseVersioning([]byte("<VersioningConfiguration>" + doc + "</VersioningConfiguration>")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestParseTagging(t *testing.T) {
	got, err := ParseTagging([]byte("<Tagging><TagSet><Tag><Key>a&amp;</Key><Value>1</Value></Tag><Tag><Value/><Key>b</Key></Tag></TagSet></Tagging>"))
	if err != nil || !slices.Equal(got, []api.Tag{{Key: "a&", Value: "1"}, {Key: "b"}}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseTagging([]byte("<Tagging><TagSet/></Tagging>")); err != nil || len(got) != 0 {
		t.Errorf("empty set: %v, %v", got, err)
	}
	for _, doc := range []string{
		"<Tagging/>", "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", "<Tagging><TagSet><Tag><Value>k</Value></Tag></TagSet></Tagging>",
		"<Tagging><TagSet/><TagSet/></Tagging>", "<Tagging><TagSet><Tag><Key>k</Key><Key>k</Key><Value/></Tag></TagSet></Tagging>",
		"<Tagging><TagSet><Colour/></TagSet></Tagging>",
	} {
		if _, err := ParseTagging([]byte(doc)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestParseLockConfiguration(t *testing.T) {
	const enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
	rule := func(s string) string { return enabled + "<Rule><DefaultRetention>" + s + "</DefaultRetention></Rule>" }
	parse := func(s string) (LockConfiguration, error) {
		return ParseLockConfiguration([]byte("<ObjectLockConfiguration>" + s + "</ObjectLockConfiguration>"))
	}
	if c, err := parse(enabled); err != nil || c.Rule {
		t.Errorf("no rule: %+v, %v", c, err)
	}
	if c, err := parse(rule("<Mode>COMPLIANCE</Mode><Years>2</Years>")); err != nil || c.Mode != api.Compliance || *c.Years != 2 || c.Days != nil {
		t.Errorf("years: %+v, %v", c, err)
	}
	if c, err := parse(rule("<Days>-1</Days><Mode>GOVERNANCE</Mode>")); err != nil || *c.Days != -1 {
		t.Errorf("what days mean is not for the parser to say: %+v, %v", c, err)
	}
	for _, s := range []string{
		"", "<ObjectLockEnabled>enabled</ObjectLockEnabled>", rule(""), rule("<Mode>GOVERNANCE</Mode>"), rule("<Days>1</Days>"),
		rule("<Mode>governance</Mode><Days>1</Days>"), rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
		rule("<Mode>GOVERNANCE</Mode><Days>x</Days>"), enabled + "<Rule/>", enabled + "<Rule><Other/></Rule>",
	} {
		if _, err := parse(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestParseRetention(t *testing.T) {
	mode, until, err := ParseRetention([]byte("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-02T03:04:05.678Z</RetainUntilDate></Retention>"))
	if err != nil || mode != api.Governance || until.UnixMilli() != 1893553445678 {
		t.Errorf("%v, %v, %v", mode, until, err)
	}
	if mode, _, err := ParseRetention([]byte("<Retention/>")); err != nil || mode != api.NoRetention {
		t.Errorf("none: %v, %v", mode, err)
	}
	for _, s := range []string{"<Mode>GOVERNANCE</Mode>", "<RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", "<Mode>x</Mode>", "<RetainUntilDate>soon</RetainUntilDate>"} {
		if _, _, err := ParseRetention([]byte("<Retention>" + s + "</Retention>")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestParseLegalHold(t *testing.T) {
	for text, want := range map[string]bool{"ON": true, "OFF": false} {
		if on, err := ParseLegalHold([]byte("<LegalHold><Status>" + text + "</Status></LegalHold>")); err != nil || on != want {
			t.Errorf("%s: %v, %v", text, on, err)
		}
	}
	for _, s := range []string{"", "<Status>on</Status>", "<Status/>", "<Other>ON</Other>"} {
		if _, err := ParseLegalHold([]byte("<LegalHold>" + s + "</LegalHold>")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// FuzzParseSettings: no document makes a parser panic, and what is accepted says the same when it is written
// out again.
func FuzzLockDocuments(f *testing.F) {
	seeds(f)
	for name, doc := range answers() {
		switch name {
		case "versioning", "enabled", "suspended", "tags", "lock", "lock-days", "lock-years", "retention", "hold":
			f.Add(doc)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if tags, err := ParseTagging(doc); err == nil {
			again, err := ParseTagging(AppendTagging(nil, tags))
			if err != nil || !slices.Equal(again, tags) {
				t.Errorf("tags %q became %q, %v", tags, again, err)
			}
		}
		if c, err := ParseLockConfiguration(doc); err == nil && c.Rule && (c.Days != nil && *c.Days > 0 || c.Years != nil && *c.Years > 0) {
			def := api.DefaultRetention{Mode: c.Mode}
			if c.Days != nil {
				def.Days = *c.Days
			} else {
				def.Years = *c.Years
			}
			text := AppendLockConfiguration(nil, def)
			if again, err := ParseLockConfiguration(text); err != nil || again.Mode != c.Mode || (again.Days == nil) != (c.Days == nil) {
				t.Errorf("%s: %+v, %v", text, again, err)
			}
		}
		if mode, until, err := ParseRetention(doc); err == nil && mode != api.NoRetention && until.Year() > 0 && until.Year() < 9999 {
			text := AppendRetention(nil, &api.Lock{Mode: mode, Until: until})
			if m, u, err := ParseRetention(text); err != nil || m != mode || u.Unix() != until.Unix() {
				t.Errorf("%s: %v, %v, %v", text, m, u, err)
			}
		}
		if on, err := ParseLegalHold(doc); err == nil {
			if again, err := ParseLegalHold(AppendLegalHold(nil, on)); err != nil || again != on {
				t.Errorf("hold %v", on)
			}
		}
		if v, err := ParseVersioning(doc); err == nil && len(v.Status) > 0 && bytes.Contains(AppendVersioning(nil, api.VersioningEnabled), []byte(v.Status)) != (v.Status == "Enabled") {
			t.Errorf("versioning %+v", v)
		}
	})
}
