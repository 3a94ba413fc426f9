package cluster

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"
)

// Region is what clients sign with.
const Region = "us-east-1"

// CredentialsFile is the path of the root credential.
func (p *Process) CredentialsFile() string { return filepath.Join(p.o.Dir, "root.credentials") }

// Credentials reads the root credential.
func (p *Process) Credentials() (id, secret string) {
	p.t.Helper()
	text, err := os.ReadFile(p.CredentialsFile())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			id = strings.TrimSpace(value)
		case "aws_secret_access_key":
			secret = strings.TrimSpace(value)
		}
	}
	if id == "" || secret == "" {
		p.t.Fatalf("%s has no credential", p.CredentialsFile())
	}
	return id, secret
}

// httpClient makes connections of its own, so that those to a killed process are not
// met again.
func (p *Process) httpClient() *http.Client {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// S3 is a client of the AWS SDK that retries nothing.
func (p *Process) S3(options ...func(*s3.Options)) *s3.Client {
	p.t.Helper()
	id, secret := p.Credentials()
	o := s3.Options{
		BaseEndpoint: aws.String(p.Endpoint()),
		Region:       Region,
		UsePathStyle: true,
		Credentials:  sdkcreds.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient:   p.httpClient(),
		Retryer:      aws.NopRetryer{},
	}
	return s3.New(o, options...)
}

// Minio is a client of MinIO's library that retries nothing.
func (p *Process) Minio() *minio.Client {
	p.t.Helper()
	id, secret := p.Credentials()
	c, err := minio.New(p.s3, &minio.Options{
		Creds:      miniocreds.NewStaticV4(id, secret, ""),
		Transport:  p.httpClient().Transport,
		Region:     Region,
		MaxRetries: 1,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// ClientEnv is the environment in which a command-line client finds the store and no
// settings of the user.
func (p *Process) ClientEnv() []string {
	return append(cleanEnv(),
		"AWS_SHARED_CREDENTIALS_FILE="+p.CredentialsFile(), "AWS_CONFIG_FILE=/dev/null",
		"AWS_REGION="+Region, "AWS_DEFAULT_REGION="+Region, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_MAX_ATTEMPTS=1", "AWS_PAGER=")
}

// Admin runs shoal admin with these arguments on the process and gives what it printed.
func (p *Process) Admin(args ...string) (string, error) {
	all := append([]string{"admin", "--data", p.o.Dir, "--admin", p.admin}, args...)
	cmd := exec.CommandContext(p.t.Context(), program, all...)
	cmd.Env = cleanEnv()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return errs.String(), err
	}
	return out.String(), nil
}

// AdminJSON runs shoal admin with --json and decodes what it printed into value.
func (p *Process) AdminJSON(value any, args ...string) {
	p.t.Helper()
	out, err := p.Admin(append(args, "--json")...)
	if err != nil {
		p.t.Fatalf("shoal admin %s: %v: %s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal([]byte(out), value); err != nil {
		p.t.Fatalf("shoal admin %s printed %q: %v", strings.Join(args, " "), out, err)
	}
}

// Run runs the program with these arguments to its end and gives its exit code and what
// it printed as errors.
func Run(env []string, args ...string) (code int, stderr string) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(cleanEnv(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	// The error is the exit code, or says that there is none.
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}
