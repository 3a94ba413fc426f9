package api_test

import (
	"testing"

	"shoal/node/api"
)

func TestCheckSetting(t *testing.T) {
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"survives", "", true}, {"survives", "1 site", true}, {"survives", "2 nodes", true}, {"survives", "2 sites", false}, {"survives", "1", false},
		{"erasure", "4+2", true}, {"erasure", "1+0", true}, {"erasure", "16+8", true}, {"erasure", "17+2", false}, {"erasure", "4+9", false},
		{"erasure", "0+2", false}, {"erasure", "04+2", false}, {"erasure", "4", false}, {"erasure", "4+2+1", false}, {"erasure", "-4+2", false},
		{"voters", "1", true}, {"voters", "2", true}, {"voters", "3", true}, {"voters", "5", true}, {"voters", "4", false}, {"voters", "0", false},
		{"replace-after", "10m", true}, {"replace-after", "59s", false}, {"replace-after", "721h", false}, {"replace-after", "10", false},
		{"move-rate", "64MiB", true}, {"move-rate", "65536", true}, {"move-rate", "65535", false}, {"move-rate", "64MB", false},
		{"move-rate", "9223372036854775807KiB", false}, {"move-rate", "-1GiB", false},
		{"sync", "", false}, {"", "", false},
	} {
		err := api.CheckSetting(c.name, c.value)
		if (err == nil) != c.ok || err != nil && api.KindOf(err) != api.InvalidArgument {
			t.Errorf("%s=%q: %v", c.name, c.value, err)
		}
	}
}

func TestParseMoveRate(t *testing.T) {
	for text, want := range map[string]int64{"64KiB": 64 << 10, "65536B": 64 << 10, "3MiB": 3 << 20, "2GiB": 2 << 30, "100000": 100000} {
		if got, err := api.ParseMoveRate(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}
