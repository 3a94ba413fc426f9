package meta

import (
	"fmt"
	"testing"
)

// TestHistoryOfMany: a page that shows only keys with a history ends when it has looked at many that have none, and the next goes on behind them.
func TestHistoryOfMany(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "versioning", Value: []byte("enabled")}}))
	put := func(key string, id uint64) []byte {
		return encode(t, &Command{Op: object(key, id), Stamp: r.now})
	}
	var cmds [][]byte
	for i := range uint64(historyMax + 5) {
		cmds = append(cmds, put(fmt.Sprintf("k/%06d", i), i+1))
	}
	cmds = append(cmds, put("k/000003", 1<<40), put("z", 1<<41), put("z", 1<<42))
	for _, res := range r.apply(testGroup, cmds...) {
		r.must(res)
	}
	q := &VersionsQuery{Bucket: 7, History: true, Max: 100}
	first := r.ask(&Query_Versions{q}).GetVersions()
	if len(first.Versions) != 2 || !first.Truncated || first.NextSeq != 0 {
		t.Fatalf("first page: %v", first)
	}
	q.AfterKey, q.AfterSeq = first.NextKey, first.NextSeq
	second := r.ask(&Query_Versions{q}).GetVersions()
	if len(second.Versions) != 2 || string(second.Versions[1].Key) != "z" || second.Truncated {
		t.Fatalf("second page: %v", second)
	}
}
