package clients

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// canMount says why nothing can be mounted here.
func canMount() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	return errors.Join(err, f.Close())
}

// mount runs a program that serves a mount until it is told to end, and waits for a file.
func (w *workshop) mount(dir, file, name string, args ...string) {
	w.Helper()
	w.must(os.MkdirAll(dir, 0o700))
	cmd := exec.Command(name, args...)
	var out lockedBuffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.vars, &out, &out
	w.must(cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // a mount that ended early is seen by the wait below
	}()
	w.Cleanup(func() {
		if text, err := exec.Command("fusermount3", "-u", "-z", dir).CombinedOutput(); err != nil {
			w.Errorf("unmount: %v: %s", err, text)
		}
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill() // it is no longer needed
			<-ended
		}
	})
	w.waitFor("the mount of "+name, func() bool {
		select {
		case <-ended:
			w.Fatalf("%s ended: %s", name, out.String())
		default:
		}
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	})
}

// TestRcloneMount reads the tree through a mount.
func TestRcloneMount(t *testing.T) {
	t.Parallel()
	w := open(t, "rclone", "fusermount3")
	cluster.Need(t, canMount())
	w.rclone()
	w.plantComposed()
	w.run("rclone", "mkdir", "store:mount")
	w.run("rclone", "copy", "tree", "store:mount/tree", "--transfers", "8")
	w.mount(w.path("mounted"), "tree", "rclone", "mount", "store:mount", "mounted", "--read-only", "--vfs-cache-mode", "off")
	sameTrees(t, w.path("tree"), w.path("mounted", "tree"))
}

// TestS3FS writes the tree through a mount and reads it through another.
func TestS3FS(t *testing.T) {
	t.Parallel()
	w := open(t, "s3fs", "fusermount3", "cp")
	cluster.Need(t, canMount())
	id, secret := w.store.Credentials()
	writeFile(t, w.path("password"), []byte(id+":"+secret+"\n"))
	w.bucket("s3fs")
	_, err := w.store.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("s3fs"), Key: aws.String("mounted")})
	w.must(err)
	plantTree(t, w.path("tree"))
	mount := func(dir string) {
		t.Helper()
		w.mount(dir, "mounted", "s3fs", "s3fs", dir, "-f", "-o", "url="+w.store.Endpoint()+",use_path_request_style,passwd_file="+w.path("password"))
	}
	mount(w.path("first"))
	w.run("cp", "-r", "tree", "first/tree")
	mount(w.path("second"))
	sameTrees(t, w.path("tree"), w.path("second", "tree"))
}
