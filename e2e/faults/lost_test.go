package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// lostWithin bounds the wait for a report that is made anew every minute.
const lostWithin = 5 * time.Minute

// TestVanished takes all shards of an object off all drives. No drive knows of it any more; the
// metadata do, and health and durability say what is lost, until it is deleted.
func TestVanished(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	waitRedundant(t, c)
	s, bucket := c.S3(), "vanished"
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket})
	must(t, err)
	put := func(key string) {
		_, err := c.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content{client: 1, seq: 1, size: 100_000}.bytes())})
		must(t, err)
	}
	put("is lost")
	for _, p := range c.Nodes() {
		p.Kill()
		emptyDrives(t, p)
	}
	for _, p := range c.Nodes() {
		p.Start()
	}
	for _, p := range c.Nodes() {
		p.WaitReady()
	}
	put("is there")
	eventually(t, lostWithin, func() error {
		var d api.Durability
		if err := c.Operator().Query(&d, "durability"); err != nil {
			return err
		}
		want := api.LostVersion{Bucket: bucket, Key: "is lost"}
		if len(d.Lost) == 1 {
			want.Version = d.Lost[0].Version
		}
		if !slices.Equal(d.Lost, []api.LostVersion{want}) || d.Gone.Stripes != 1 || d.Unreadable.Stripes != 1 || d.Compared != d.Groups {
			return fmt.Errorf("the report says: lost %v, gone %+v, unreadable %+v, %d of %d groups compared", d.Lost, d.Gone, d.Unreadable, d.Compared, d.Groups)
		}
		return nil
	})
	if out, err := c.Operator().Admin("durability"); err != nil || !strings.Contains(out, `"is lost"`) {
		t.Errorf("shoal admin durability: %v\n%s", err, out)
	}
	if err := c.Operator().Redundant(); err == nil || !strings.Contains(err.Error(), "nothing is left on any drive") {
		t.Errorf("health says %v", err)
	}
	_, err = c.S3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("is lost")})
	must(t, err)
	waitRedundant(t, c)
}

// emptyDrives removes the segments and indexes of a stopped node's drives, which stay its drives.
func emptyDrives(t *testing.T, p *cluster.Process) {
	t.Helper()
	removed := 0
	err := filepath.WalkDir(p.Dir(), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "index":
			must(t, os.RemoveAll(path))
			return fs.SkipDir
		case strings.HasSuffix(e.Name(), ".seg"):
			removed++
			return os.Remove(path)
		}
		return nil
	})
	must(t, err)
	if removed == 0 {
		t.Fatalf("no segment below %s", p.Dir())
	}
}
