package api

import (
	"math"
	"testing"
)

func TestQuota(t *testing.T) {
	for _, q := range []Quota{{}, {Bytes: 1}, {Objects: math.MaxInt64}, {Bytes: 7, Objects: 9}} {
		if got, err := ParseQuota(AppendQuota(nil, q)); err != nil || got != q {
			t.Errorf("%+v came back as %+v, %v", q, got, err)
		}
	}
	for _, doc := range []string{"x", "{}", `{"bytes":-1}`, `{"objects":-1}`, `{"bytes":1.5}`, `{"bytes":9223372036854775808}`} {
		if _, err := ParseQuota([]byte(doc)); KindOf(err) != InvalidArgument {
			t.Errorf("%s: %v", doc, err)
		}
	}
	for _, c := range []struct {
		q                      Quota
		objects, bytes         int64
		moreObjects, moreBytes int64
		want                   bool
	}{
		{Quota{}, math.MaxInt64, math.MaxInt64, 1, math.MaxInt64, true},
		{Quota{Bytes: 10}, 0, 0, 1, 10, true},
		{Quota{Bytes: 10}, 0, 0, 1, 11, false},
		{Quota{Bytes: 10}, 0, 5, 1, 5, true},
		{Quota{Bytes: 10}, 0, 5, 1, 6, false},
		{Quota{Bytes: 10}, 0, 20, 1, 0, true},
		{Quota{Bytes: 10}, 0, 20, 0, -5, true},
		{Quota{Bytes: 10}, 0, 20, 0, 1, false},
		{Quota{Bytes: 10}, 0, math.MaxInt64, 0, math.MaxInt64, false},
		{Quota{Objects: 2}, 1, 0, 1, 99, true},
		{Quota{Objects: 2}, 2, 0, 1, 0, false},
		{Quota{Objects: 2}, 5, 0, 0, 99, true},
	} {
		if got := c.q.Admits(c.objects, c.bytes, c.moreObjects, c.moreBytes); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
