package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

// adminWithin bounds one command of the operator's tool.
const adminWithin = 60 * time.Second

// Region is what clients sign with.
const Region = "us-east-1"

// CredentialsFile is the path of the root credential.
func (p *Process) CredentialsFile() string {
	if p.o.Credentials != "" {
		return p.o.Credentials
	}
	return filepath.Join(p.o.Dir, "root.credentials")
}

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

// management is a client of the management port.
func (p *Process) management() *http.Client {
	if p.manage == nil {
		p.manage = p.httpClient()
	}
	return p.manage
}

// httpClient makes connections of its own, so that those to a killed process are not
// met again.
func (p *Process) httpClient() *http.Client {
	transport := &http.Transport{
		DialContext:           p.o.Host.Dial,
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

// Admin runs shoal admin with these arguments on the process and gives what it printed, its errors first when it fails.
func (p *Process) Admin(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), adminWithin)
	defer cancel()
	all := append([]string{"admin", "--credentials", p.CredentialsFile(), "--admin", p.admin}, args...)
	cmd := exec.CommandContext(ctx, program, all...)
	cmd.Env = cleanEnv()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := p.o.Host.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return errs.String() + out.String(), err
	}
	return out.String(), nil
}

// Query runs shoal admin with --json and decodes what it printed into value.
func (p *Process) Query(value any, args ...string) error {
	out, err := p.Admin(append(args, "--json")...)
	if err != nil {
		return fmt.Errorf("shoal admin %s: %w: %s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal([]byte(out), value); err != nil {
		return fmt.Errorf("shoal admin %s printed %q: %w", strings.Join(args, " "), out, err)
	}
	return nil
}

// AdminJSON is Query that fails the test.
func (p *Process) AdminJSON(value any, args ...string) {
	p.t.Helper()
	if err := p.Query(value, args...); err != nil {
		p.t.Fatal(err)
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
