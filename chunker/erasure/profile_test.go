package erasure

import (
	"errors"
	"testing"
)

func TestParseProfile(t *testing.T) {
	for _, p := range profiles {
		got, err := ParseProfile(p.String())
		if err != nil || got != p {
			t.Errorf("%v: %v, error %v", p, got, err)
		}
		text, _ := p.MarshalText()
		var back Profile
		if err := back.UnmarshalText(text); err != nil || back != p {
			t.Errorf("%v as text: %v, error %v", p, back, err)
		}
	}
	for _, s := range []string{
		"", "4", "+", "4+", "+2", "0+0", "0+1", "17+1", "4+9", "4+2+1", "04+2", "4+02", "4 + 2", "-4+2", "4+-2", "4+ 2", "256+0", "260+2", "four+two",
	} {
		if p, err := ParseProfile(s); !errors.Is(err, ErrProfile) {
			t.Errorf("%q: %v, error %v", s, p, err)
		}
	}
}

func TestProfileForDrives(t *testing.T) {
	for _, tc := range []struct {
		drives int
		want   string
	}{
		{0, "1+0"}, {1, "1+0"}, {2, "1+1"}, {3, "2+1"}, {4, "2+2"}, {5, "2+2"}, {6, "4+2"}, {7, "4+2"},
		{8, "5+3"}, {11, "5+3"}, {12, "8+4"}, {1000, "8+4"},
	} {
		p := ProfileForDrives(tc.drives)
		if p.String() != tc.want || p.Validate() != nil {
			t.Errorf("%d drives: %v, want %s", tc.drives, p, tc.want)
		}
		if tc.drives > 0 && p.Width() > tc.drives {
			t.Errorf("%d drives cannot hold %v", tc.drives, p)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add("4+2")
	f.Add("16+8")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseProfile(s)
		if err == nil && (p.String() != s || p.Validate() != nil) {
			t.Fatalf("%q is accepted as %v", s, p)
		}
	})
}
