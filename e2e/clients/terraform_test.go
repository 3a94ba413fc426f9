package clients

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	stateBucket = "terraform"
	stateKey    = "states/odd näme + %.tfstate"
)

// TestTerraform keeps the state of a small configuration in the store: every revision is a
// version, and of two applies at the same time the lock refuses one.
func TestTerraform(t *testing.T) {
	t.Parallel()
	w := open(t, "terraform")
	c := w.store.S3()
	w.bucket(stateBucket)
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(stateBucket),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	w.must(err)
	w.script("terraform", "main.tf")
	w.set("TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null",
		"AWS_ENDPOINT_URL_S3="+w.store.Endpoint())
	w.run("terraform", "init", "-no-color")
	w.apply("one")
	w.apply("two")
	if out := w.run("terraform", "output", "-raw", "revision"); !strings.HasPrefix(out, "two 0 ä & <b>") {
		t.Errorf("the output is %q", out)
	}
	w.race()
	w.forceUnlock(c)
	w.states(c)
	w.run("terraform", "destroy", "-auto-approve", "-no-color", "-var", "revision=none")
	if out := w.run("terraform", "state", "list"); strings.TrimSpace(out) != "" {
		t.Errorf("after destroy the state has %q", out)
	}
}

func (w *workshop) apply(revision string) {
	w.Helper()
	w.run("terraform", "apply", "-auto-approve", "-no-color", "-var", "revision="+revision)
}

// race starts an apply while another holds the lock, and lets the first end.
func (w *workshop) race() {
	w.Helper()
	w.must(os.WriteFile(w.path("hold"), nil, 0o600))
	w.must(os.RemoveAll(w.path("began")))
	first := make(chan error, 1)
	go func() {
		out, err := w.try("terraform", "apply", "-auto-approve", "-no-color", "-var", "revision=three", "-var", "hold="+w.path("hold"))
		if err != nil {
			w.Errorf("the first apply: %v\n%s", err, tail(out))
		}
		first <- err
	}()
	w.waitFor("an apply under way", func() bool {
		_, err := os.Stat(w.path("began"))
		return err == nil
	})
	out, err := w.try("terraform", "apply", "-auto-approve", "-no-color", "-var", "revision=four")
	if err == nil || !strings.Contains(out, "Error acquiring the state lock") {
		w.Errorf("a second apply was not refused by the lock: %v\n%s", err, tail(out))
	}
	w.must(os.Remove(w.path("hold")))
	if <-first != nil {
		w.FailNow()
	}
	if out := w.run("terraform", "output", "-raw", "revision"); !strings.HasPrefix(out, "three") {
		w.Errorf("after the race the output is %q", out)
	}
}

// waitFor waits until something holds.
func (w *workshop) waitFor(what string, holds func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), commandWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited in vain for %s", what)
		}
	}
}

// forceUnlock leaves a lock behind as a killed apply does, and removes it by its ID.
func (w *workshop) forceUnlock(c *s3.Client) {
	w.Helper()
	const id = "8a2c6f6e-1f3b-4f6a-9f53-0f2c7e1b9d44"
	lock := `{"ID":"` + id + `","Operation":"OperationTypeApply","Info":"","Who":"nobody","Version":"1.11.4","Created":"2026-01-02T03:04:05Z","Path":"` + stateBucket + "/" + stateKey + `"}`
	_, err := c.PutObject(w.Context(), &s3.PutObjectInput{Bucket: aws.String(stateBucket), Key: aws.String(stateKey + ".tflock"), Body: strings.NewReader(lock)})
	w.must(err)
	if out, err := w.try("terraform", "apply", "-auto-approve", "-no-color", "-var", "revision=five"); err == nil || !strings.Contains(out, id) {
		w.Errorf("an apply under another's lock: %v\n%s", err, tail(out))
	}
	w.run("terraform", "force-unlock", "-force", id)
	w.apply("five")
}

// states counts the versions of the state, and sees that no lock is left.
func (w *workshop) states(c *s3.Client) {
	w.Helper()
	out, err := c.ListObjectVersions(w.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(stateBucket), Prefix: aws.String(stateKey)})
	w.must(err)
	states := 0
	for _, v := range out.Versions {
		if aws.ToString(v.Key) == stateKey {
			states++
		}
	}
	if states < 4 {
		w.Errorf("%d versions of the state, want one of each revision at least", states)
	}
	listed, err := c.ListObjectsV2(w.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(stateBucket)})
	w.must(err)
	if len(listed.Contents) != 1 || aws.ToString(listed.Contents[0].Key) != stateKey {
		w.Errorf("the bucket has %d keys, want the state alone", len(listed.Contents))
	}
}
