package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestCustomerKey(t *testing.T) {
	k, other := &CustomerKey{Key: [32]byte([]byte(strings.Repeat("k", 32)))}, &CustomerKey{}
	check := k.Check()
	if again := k.Check(); bytes.Equal(check, again) || !k.Fits(again) {
		t.Error("two checks of one key are the same, or one does not fit")
	}
	for i := range check {
		bad := bytes.Clone(check)
		bad[i] ^= 1
		if k.Fits(bad) {
			t.Errorf("a check with byte %d changed fits", i)
		}
	}
	if !k.Fits(check) || other.Fits(check) || k.Fits(nil) || k.Fits(check[:keySaltLen]) {
		t.Error("a check fits what it should not, or not its own key")
	}
	sealed, plain := &Metadata{KeyCheck: check}, new(Metadata)
	for _, c := range []struct {
		m    *Metadata
		key  *CustomerKey
		want Kind
	}{{sealed, nil, CustomerKeyMissing}, {sealed, other, CustomerKeyWrong}, {plain, k, CustomerKeyUnused}} {
		if got := KindOf(c.m.OpensWith("test", c.key)); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	if sealed.OpensWith("test", k) != nil || plain.OpensWith("test", nil) != nil {
		t.Error("the right key is refused")
	}
	text, err := json.Marshal(k)
	if all := fmt.Sprintf("%v %+v %#v %s %x %v", k, *k, *k, *k, *k, k.LogValue()) + string(text); err != nil || strings.Contains(all, "kkk") || strings.Contains(all, "6b6b") || strings.Contains(all, "107 107") {
		t.Errorf("the key shows: %s, %v", all, err)
	}
}
