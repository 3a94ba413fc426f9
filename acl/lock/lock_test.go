package lock

import (
	"testing"
	"time"
)

const now = int64(1_800_000_000_000_000_000)

func TestRemove(t *testing.T) {
	governed := State{Retention: Retention{Governance, now + 1}}
	complied := State{Retention: Retention{Compliance, now + 1}}
	for name, c := range map[string]struct {
		s      State
		bypass bool
		want   Decision
	}{
		"free":                         {State{}, false, Allowed},
		"governance":                   {governed, false, Retained},
		"governance, bypassed":         {governed, true, Allowed},
		"governance, over":             {State{Retention: Retention{Governance, now}}, false, Allowed},
		"compliance":                   {complied, false, RetainedForGood},
		"compliance, bypassed":         {complied, true, RetainedForGood},
		"compliance, over":             {State{Retention: Retention{Compliance, now}}, false, Allowed},
		"legal hold":                   {State{LegalHold: true}, false, HeldLegally},
		"legal hold, bypassed":         {State{LegalHold: true}, true, HeldLegally},
		"legal hold beside governance": {State{Retention: governed.Retention, LegalHold: true}, true, HeldLegally},
		"legal hold, retention over":   {State{Retention: Retention{Compliance, now - 1}, LegalHold: true}, true, HeldLegally},
		"unknown mode":                 {State{Retention: Retention{7, now + 1}}, true, RetainedForGood},
		"time not known":               {State{Retention: Retention{Governance, 1}}, false, Allowed},
	} {
		if got := c.s.Remove(now, c.bypass); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := complied.Remove(0, true); got != RetainedForGood {
		t.Errorf("while no time is agreed on: %v", got)
	}
}

func TestReplace(t *testing.T) {
	const until = now + int64(time.Hour)
	g, c := Retention{Governance, until}, Retention{Compliance, until}
	for name, x := range map[string]struct {
		from, to Retention
		bypass   bool
		want     Decision
	}{
		"first":                        {Retention{}, g, false, Allowed},
		"first compliance":             {Retention{}, c, false, Allowed},
		"the same":                     {g, g, false, Allowed},
		"governance longer":            {g, Retention{Governance, until + 1}, false, Allowed},
		"governance shorter":           {g, Retention{Governance, until - 1}, false, Retained},
		"governance shorter, bypassed": {g, Retention{Governance, until - 1}, true, Allowed},
		"governance removed":           {g, Retention{}, false, Retained},
		"governance removed, bypassed": {g, Retention{}, true, Allowed},
		"governance to compliance":     {g, Retention{Compliance, until + 1}, false, Retained},
		"to compliance, bypassed":      {g, Retention{Compliance, until + 1}, true, Allowed},
		"compliance longer":            {c, Retention{Compliance, until + 1}, false, Allowed},
		"compliance shorter":           {c, Retention{Compliance, until - 1}, true, RetainedForGood},
		"compliance removed":           {c, Retention{}, true, RetainedForGood},
		"compliance to governance":     {c, Retention{Governance, until + 1}, true, RetainedForGood},
		"over, anything":               {Retention{Compliance, now}, Retention{Governance, now + 1}, false, Allowed},
		"over, removed":                {Retention{Compliance, now}, Retention{}, false, Allowed},
	} {
		if got := x.from.Replace(x.to, now, x.bypass); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

// TestExtendOnly checks that no series of allowed changes without bypass ends a retention early.
func TestExtendOnly(t *testing.T) {
	modes := []Mode{None, Governance, Compliance}
	for _, from := range modes[1:] {
		for _, to := range modes {
			for d := int64(-2); d <= 2; d++ {
				a, b := Retention{from, now + 10}, Retention{to, now + 10 + d}
				if a.Replace(b, now, false) == Allowed && (b.Mode != a.Mode || b.Until < a.Until) {
					t.Errorf("%v may become %v", a, b)
				}
			}
		}
	}
}

func TestDefault(t *testing.T) {
	const day = int64(24 * time.Hour)
	for name, c := range map[string]struct {
		d     Default
		valid bool
		until int64
	}{
		"none":           {Default{}, true, 0},
		"days":           {Default{Governance, 3, 0}, true, now + 3*day},
		"years":          {Default{Compliance, 0, 2}, true, now + 730*day},
		"most days":      {Default{Compliance, DaysMax, 0}, true, now + DaysMax*day},
		"too many days":  {Default{Compliance, DaysMax + 1, 0}, false, 0},
		"most years":     {Default{Compliance, 0, YearsMax}, true, now + YearsMax*365*day},
		"too many years": {Default{Compliance, 0, YearsMax + 1}, false, 0},
		"both":           {Default{Compliance, 1, 1}, false, 0},
		"no period":      {Default{Mode: Compliance}, false, 0},
		"no mode":        {Default{Days: 1}, false, 0},
		"unknown mode":   {Default{9, 1, 0}, false, 0},
	} {
		if c.d.Valid() != c.valid {
			t.Errorf("%s: valid %v", name, c.d.Valid())
		}
		if c.valid {
			if got := c.d.From(now); got.Mode != c.d.Mode || got.Until != c.until {
				t.Errorf("%s: %+v, want until %d", name, got, c.until)
			}
		}
	}
}

func TestModeNames(t *testing.T) {
	for _, m := range []Mode{Governance, Compliance} {
		if got, ok := ParseMode(m.String()); !ok || got != m {
			t.Errorf("%v is read as %v", m, got)
		}
	}
	for _, text := range []string{"", "governance", "UNKNOWN"} {
		if _, ok := ParseMode(text); ok {
			t.Errorf("%q is a mode", text)
		}
	}
}
