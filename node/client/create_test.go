package client

import (
	"bytes"
	"log/slog"
	"maps"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// TestCreateBrokenOff: whoever creates a bucket ends after any step, and whoever uses the bucket then finds it with all that it was
// created with. A step that comes late changes nothing.
func TestCreateBrokenOff(t *testing.T) {
	docs := map[string][]byte{api.ConfigACL: []byte("granted"), api.ConfigOwnership: []byte("owned")}
	for _, locks := range []bool{false, true} {
		for steps := range 4 {
			f := newFakeCluster(t, 1, 1, erasure.Profile{K: 1})
			c := f.client()
			cmd := &meta.CreateBucket{Name: "new", Owner: "root", ObjectLock: locks}
			for _, name := range []string{api.ConfigACL, api.ConfigOwnership} {
				cmd.Configs = append(cmd.Configs, &meta.BucketConfig{Name: name, Value: docs[name]})
			}
			res, err := c.propose(t.Context(), consensus.SystemGroup, "test", &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: cmd}})
			if err != nil {
				t.Fatal(err)
			}
			row := res.GetBucket()
			switch begun := proto.Clone(row).(*meta.Bucket); {
			case steps == 1:
				begun.Configs = begun.Configs[:1]
				err = c.begin(t.Context(), begun)
			case steps >= 2:
				err = c.begin(t.Context(), row)
			}
			if steps == 3 && err == nil {
				_, err = c.ready(t.Context(), row)
			}
			if err != nil {
				t.Fatal(err)
			}
			other := New(Config{Directory: f, Alive: f.alive, Logger: slog.New(slog.DiscardHandler)})
			conf, err := other.Configuration(t.Context(), "new", 0)
			if err != nil || !maps.EqualFunc(conf.Documents, docs, bytes.Equal) {
				t.Errorf("after %d steps: %+v, %v", steps, conf, err)
			}
			if v, err := other.Versioning(t.Context(), "new"); err != nil || v.ObjectLock != locks {
				t.Errorf("after %d steps: %+v, %v", steps, v, err)
			}
			if err := other.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "new", Name: api.ConfigOwnership}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ready(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			if conf, err := other.Configuration(t.Context(), "new", 0); err != nil || len(conf.Documents) != 1 {
				t.Errorf("a late step gives back what was removed: %+v, %v", conf, err)
			}
		}
	}
}

// TestCreateAtOldDirectory: where the directory drops the documents that a bucket is created with, they are set all the same.
func TestCreateAtOldDirectory(t *testing.T) {
	c := newFakeCluster(t, 1, 1, erasure.Profile{K: 1}).client()
	cmd := &meta.CreateBucket{Name: "new", Owner: "root"}
	res, err := c.propose(t.Context(), consensus.SystemGroup, "test", &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: cmd}})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Configs = []*meta.BucketConfig{{Name: api.ConfigACL, Value: []byte("granted")}}
	if _, err := c.created(t.Context(), res.GetBucket(), cmd); err != nil {
		t.Fatal(err)
	}
	if conf, err := c.Configuration(t.Context(), "new", 0); err != nil || string(conf.Documents[api.ConfigACL]) != "granted" {
		t.Errorf("%+v, %v", conf, err)
	}
}
