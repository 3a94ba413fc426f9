package sts

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/node/api"
)

const (
	actionAssumeRole = "sts:AssumeRole"
	lifeDefault      = time.Hour
	roleARN          = "arn:aws:iam::" + api.Account + ":role/"
	arnMax           = 2048
)

// sessionName is what a session may be called.
var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

type assumeRoleAnswer struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
	Result  struct {
		Credentials credentials
		User        struct {
			ID  string `xml:"AssumedRoleId"`
			ARN string `xml:"Arn"`
		} `xml:"AssumedRoleUser"`
		PackedPolicySize *int // percent
	} `xml:"AssumeRoleResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

// credentials are those of a session.
type credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func credentialsOf(s *api.IssuedSession) credentials {
	return credentials{s.AccessKeyID, s.Secret, s.Token, s.Expires.UTC().Format(time.RFC3339)}
}

// metadata closes every answer.
type metadata struct {
	RequestID string `xml:"RequestId"`
}

func (c *call) assumeRole(ctx context.Context) (any, error) {
	if c.Sessions == nil {
		return nil, newError("NotImplemented", http.StatusNotImplemented, "This store makes no sessions.")
	}
	req, err := c.readAssumeRole()
	if err != nil {
		return nil, err
	}
	if err := c.mayAssume(ctx, req.Role); err != nil {
		return nil, err
	}
	issued, err := c.Sessions.IssueSession(ctx, *req)
	if err != nil {
		return nil, err
	}
	if err := c.record(req, &issued.Session); err != nil {
		return nil, err
	}
	a := &assumeRoleAnswer{Metadata: metadata{c.RequestID}}
	out := &a.Result
	out.Credentials = credentialsOf(&issued)
	caller := c.Caller
	caller.Session = &issued.Session
	out.User.ID, out.User.ARN = userID(&caller), callerARN(&caller)
	if n := len(req.Policy); n > 0 {
		percent := (n*100 + api.SessionPolicyMax - 1) / api.SessionPolicyMax
		out.PackedPolicySize = &percent
	}
	return a, nil
}

// record tells of a session that was made: everything but its secret and its token.
func (c *call) record(req *api.NewSession, made *api.Session) error {
	if c.RecordAct == nil {
		return nil
	}
	after, err := json.Marshal(struct {
		Parent  string    `json:"parent,omitempty"`
		Name    string    `json:"name"`
		Role    string    `json:"role,omitempty"`
		Policy  string    `json:"policy,omitempty"`
		Expires time.Time `json:"expires"`
	}{req.Parent, req.Name, req.Role, req.Policy, made.Expires})
	if err != nil {
		return err
	}
	c.RecordAct(&audit.Act{
		Time: c.Now, RemoteAddr: c.HTTP.RemoteAddr, User: c.Caller.ID, AccessKeyID: c.AccessKeyID, RequestID: c.RequestID,
		Kind: audit.OnCredential, Operation: c.Action, Target: made.AccessKeyID, After: string(after),
	})
	return nil
}

// readAssumeRole reads the parameters.
func (c *call) readAssumeRole() (*api.NewSession, error) {
	if err := c.takes("RoleArn", "RoleSessionName", "Policy", "DurationSeconds"); err != nil {
		return nil, err
	}
	req := &api.NewSession{Parent: c.AccessKeyID, Name: c.form.Get("RoleSessionName"), Policy: c.form.Get("Policy"), Life: lifeDefault}
	if !sessionName.MatchString(req.Name) {
		return nil, invalid("RoleSessionName must be 2 to 64 letters, digits and characters of _+=,.@-")
	}
	if err := c.readLimits(req); err != nil {
		return nil, err
	}
	arn := c.form.Get("RoleArn")
	name, isRole := strings.CutPrefix(arn, roleARN)
	switch {
	case len(arn) > arnMax || !strings.HasPrefix(arn, "arn:aws:"):
		return nil, invalid("RoleArn must be an ARN: %sNAME for the policy NAME, or %s for all that you may do.", roleARN, c.Caller.ARN())
	case isRole && name != "":
		req.Role = name
	case arn != c.Caller.ARN():
		return nil, c.denied()
	}
	return req, nil
}

// readLimits reads for how long a session is, and its own policy.
func (c *call) readLimits(req *api.NewSession) error {
	if text, ok := c.form["DurationSeconds"]; ok {
		seconds, err := strconv.ParseInt(text[0], 10, 32)
		req.Life = time.Duration(seconds) * time.Second
		if err != nil || req.Life < api.SessionMin || req.Life > api.SessionMax {
			return invalid("DurationSeconds must be %d to %d.", int(api.SessionMin.Seconds()), int(api.SessionMax.Seconds()))
		}
	}
	if len(req.Policy) > api.SessionPolicyMax {
		return newError("PackedPolicyTooLarge", http.StatusBadRequest, "The policy must not be longer than %d bytes.", api.SessionPolicyMax)
	}
	if req.Policy != "" {
		if _, err := policy.ParseIdentity("session", []byte(req.Policy)); err != nil {
			return newError("MalformedPolicyDocument", http.StatusBadRequest, "%s", err)
		}
	}
	return nil
}

// mayAssume asks for the right to have a session.
func (c *call) mayAssume(ctx context.Context, role string) error {
	if c.Caller.Session != nil {
		return newError("AccessDenied", http.StatusForbidden, "A session cannot be asked for with a session: use the access key.")
	}
	if d := c.decide(actionAssumeRole); !d.Allowed {
		return c.denied().wrap(fmt.Errorf("%s: %s", actionAssumeRole, d.String()))
	}
	if role == "" {
		return nil
	}
	known, err := c.IAM.HasPolicy(ctx, role)
	if err == nil && !known {
		err = c.denied()
	}
	return err
}

// decide asks whether the caller may do something.
func (c *call) decide(action string) *acl.Decision {
	r := acl.Request{
		Principal: c.Caller.Principal, Action: action, Resource: "*",
		Keys: iam.RequestKeys(c.HTTP, &c.Caller, c.Region, c.Now),
	}
	d := acl.Evaluate(&r, &acl.Rules{Identity: c.Caller.Identity, Sessions: c.Caller.Sessions})
	c.Decision = &d
	return &d
}

// denied does not tell whether there is such a role.
func (c *call) denied() *Error {
	return newError("AccessDenied", http.StatusForbidden, "User: %s is not authorized to perform: %s on resource: %.256s", callerARN(&c.Caller), actionAssumeRole, c.form.Get("RoleArn"))
}
