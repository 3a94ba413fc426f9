package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// adminAnswerMax bounds an answer of the admin API, in bytes.
const adminAnswerMax = 64 << 20

// adminClient asks the admin API of one node.
type adminClient struct {
	base   string // scheme and address
	key    accessKey
	region string
	http   *http.Client
}

func newAdminClient(env environment, s *settings) (*adminClient, error) {
	k, err := findCredentials(env, s)
	if err != nil {
		return nil, err
	}
	base := s.admin
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	// No proxy: the management address is one of this machine or of its network.
	return &adminClient{
		base: strings.TrimSuffix(base, "/"), key: k, region: s.region,
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}, nil
}

// call sends one signed request. body is sent as JSON unless it is nil. The error of an
// answer that is not a success carries the node's own words.
func (c *adminClient) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, adminAnswerMax))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	return answer, nil
}

// send sends one signed request. The answer is a success, and its body is the caller's to read and close.
func (c *adminClient) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(sent))
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", c.base, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	sign(req, sent, c.key, c.region, time.Now())
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nothing listens at %s: start shoal, or name its management address with --admin", c.base)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.base, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	// What of the answer cannot be read is not told.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, adminAnswerMax))
	return nil, answerError(c.base, resp.StatusCode, answer)
}

// answerError makes an error of an answer {"code":…, "message":…}.
func answerError(base string, status int, answer []byte) error {
	var said struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Code == "" {
		return fmt.Errorf("%s answered %d %s", base, status, http.StatusText(status))
	}
	return fmt.Errorf("%s answered %s: %s", base, said.Code, said.Message)
}
