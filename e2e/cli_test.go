package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
)

// shell runs one command line of a client.
type shell struct {
	t    *testing.T
	dir  string
	vars []string
}

// run gives what the program prints and fails the test when it fails.
func (s shell) run(name string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir, cmd.Env = s.dir, s.vars
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// file writes content into the shell's folder.
func (s shell) file(name string, p pattern) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(s.t, os.WriteFile(path, p.bytes(), 0o600))
	return path
}

// same fails the test unless the file has the content.
func (s shell) same(name string, p pattern) {
	s.t.Helper()
	f, err := os.Open(filepath.Join(s.dir, name))
	must(s.t, err)
	defer f.Close()
	if err := p.verify(f, 0, p.size); err != nil {
		s.t.Errorf("%s: %v", name, err)
	}
}

func TestCommandLineClients(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	id, secret := p.Credentials()
	for _, c := range []struct {
		name string
		test func(shell, *cluster.Process)
	}{
		{"aws", awsCLI}, {"curl", curl}, {"s3cmd", s3cmd}, {"rclone", rclone}, {"restic", restic},
	} {
		t.Run(c.name, func(t *testing.T) {
			program(t, c.name)
			dir := t.TempDir()
			vars := append(p.ClientEnv(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
				"AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret)
			c.test(shell{t: t, dir: dir, vars: vars}, p)
		})
	}
}

func awsCLI(s shell, p *cluster.Process) {
	aws := func(args ...string) string {
		return s.run("aws", append([]string{"--endpoint-url", p.Endpoint()}, args...)...)
	}
	// Release 1 of the tool would presign with the signatures that came before version 4.
	s.vars = append(s.vars, "AWS_CONFIG_FILE="+filepath.Join(s.dir, "config"))
	must(s.t, os.WriteFile(filepath.Join(s.dir, "config"), []byte("[default]\ns3 =\n    signature_version = s3v4\n"), 0o600))
	small, large := pattern{seed: 1, size: 1234}, pattern{seed: 2, size: 20*mib + 7}
	s.file("tree/small file", small)
	s.file("tree/sub/large", large)
	aws("s3", "mb", "s3://cli")
	aws("s3", "cp", "tree/small file", "s3://cli/one")
	aws("s3", "sync", "tree", "s3://cli/tree")
	if out := aws("s3", "ls", "--recursive", "s3://cli"); !strings.Contains(out, "1234 one\n") || !strings.Contains(out, "tree/small file\n") {
		s.t.Errorf("ls prints %q", out)
	}
	aws("s3", "cp", "s3://cli/tree/sub/large", "back")
	s.same("back", large)
	aws("s3", "mv", "s3://cli/one", "s3://cli/two")
	aws("s3api", "get-object", "--bucket", "cli", "--key", "two", "--range", "bytes=10-19", "ten")
	if got, err := os.ReadFile(filepath.Join(s.dir, "ten")); err != nil || !bytes.Equal(got, small.bytes()[10:20]) {
		s.t.Errorf("a range of 10 bytes: %d bytes, %v", len(got), err)
	}
	url := strings.TrimSpace(aws("s3", "presign", "s3://cli/two"))
	if _, err := exec.LookPath("curl"); err == nil {
		s.run("curl", "-sSf", "-o", "presigned", url)
		s.same("presigned", small)
	}
	aws("s3", "rb", "--force", "s3://cli")
}

func curl(s shell, p *cluster.Process) {
	id, secret := p.Credentials()
	content := pattern{seed: 3, size: 100_000}
	s.file("up", content)
	// The secret goes in by a file, as it would for a careful user.
	must(s.t, os.WriteFile(filepath.Join(s.dir, "user"), []byte(fmt.Sprintf("user = %q\n", id+":"+secret)), 0o600))
	curl := func(args ...string) {
		s.run("curl", append([]string{"-sSf", "-K", "user", "--aws-sigv4", "aws:amz:" + cluster.Region + ":s3",
			"-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"}, args...)...)
	}
	curl("-X", "PUT", p.Endpoint()+"/curled")
	curl("-T", "up", p.Endpoint()+"/curled/key")
	curl("-o", "down", p.Endpoint()+"/curled/key")
	s.same("down", content)
	curl("-X", "DELETE", p.Endpoint()+"/curled/key")
	curl("-X", "DELETE", p.Endpoint()+"/curled")
}

func s3cmd(s shell, p *cluster.Process) {
	id, secret := p.Credentials()
	host := strings.TrimPrefix(p.Endpoint(), "http://")
	config := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\nsignature_v2 = False\n",
		id, secret, host, host)
	must(s.t, os.WriteFile(filepath.Join(s.dir, "config"), []byte(config), 0o600))
	cmd := func(args ...string) string { return s.run("s3cmd", append([]string{"-c", "config"}, args...)...) }
	small, large := pattern{seed: 4, size: 77}, pattern{seed: 5, size: 20 * mib}
	s.file("small", small)
	s.file("large", large)
	cmd("mb", "s3://s3cmd")
	cmd("put", "small", "large", "s3://s3cmd/dir/")
	if out := cmd("ls", "s3://s3cmd/dir/"); !strings.Contains(out, "s3://s3cmd/dir/small") {
		s.t.Errorf("ls prints %q", out)
	}
	cmd("get", "s3://s3cmd/dir/large", "back")
	s.same("back", large)
	cmd("cp", "s3://s3cmd/dir/small", "s3://s3cmd/copy")
	cmd("get", "s3://s3cmd/copy", "copy")
	s.same("copy", small)
	cmd("del", "--recursive", "--force", "s3://s3cmd")
	cmd("rb", "s3://s3cmd")
}

func rclone(s shell, p *cluster.Process) {
	id, secret := p.Credentials()
	s.vars = append(s.vars, "RCLONE_CONFIG="+filepath.Join(s.dir, "none"), "RCLONE_CONFIG_X_TYPE=s3", "RCLONE_CONFIG_X_PROVIDER=Other",
		"RCLONE_CONFIG_X_ACCESS_KEY_ID="+id, "RCLONE_CONFIG_X_SECRET_ACCESS_KEY="+secret,
		"RCLONE_CONFIG_X_ENDPOINT="+p.Endpoint(), "RCLONE_CONFIG_X_REGION="+cluster.Region)
	for i := range 30 {
		s.file(fmt.Sprintf("tree/%d/file %d", i%3, i), pattern{seed: uint64(i), size: int64(i) * 3000})
	}
	s.file("tree/large", pattern{seed: 99, size: 12*mib + 1})
	s.run("rclone", "mkdir", "x:rcloned")
	s.run("rclone", "sync", "tree", "x:rcloned/tree", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M")
	s.run("rclone", "check", "tree", "x:rcloned/tree", "--download")
	s.run("rclone", "copy", "x:rcloned/tree/large", "back")
	s.same("back/large", pattern{seed: 99, size: 12*mib + 1})
	s.run("rclone", "purge", "x:rcloned")
}

func restic(s shell, p *cluster.Process) {
	s.vars = append(s.vars, "RESTIC_PASSWORD=only for this test", "RESTIC_REPOSITORY=s3:"+p.Endpoint()+"/backups", "HOME="+s.dir)
	for i := range 20 {
		s.file(fmt.Sprintf("tree/%d", i), pattern{seed: uint64(i), size: int64(i) * 50_000})
	}
	s.run("restic", "init")
	s.run("restic", "backup", "tree")
	s.run("restic", "check", "--read-data")
	s.run("restic", "restore", "latest", "--target", "back")
	for i := range 20 {
		s.same(fmt.Sprintf("back/tree/%d", i), pattern{seed: uint64(i), size: int64(i) * 50_000})
	}
	s.run("restic", "forget", "latest", "--prune")
}
