package sts

import (
	"context"
	"encoding/xml"
	"strings"

	"shoal/gateway/iam"
	"shoal/node/api"
)

type callerIdentityAnswer struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Result  struct {
		ARN     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string
	} `xml:"GetCallerIdentityResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

// callerIdentity tells whoever asks who that is. It takes no right, as in AWS.
func (c *call) callerIdentity(context.Context) (any, error) {
	if err := c.takes(); err != nil {
		return nil, err
	}
	a := &callerIdentityAnswer{Metadata: metadata{c.RequestID}}
	a.Result.ARN, a.Result.UserID, a.Result.Account = callerARN(&c.Caller), userID(&c.Caller), api.Account
	return a, nil
}

// callerARN names a caller: a session by its role, or by whose it is when it has none.
func callerARN(c *iam.Caller) string {
	if c.Session == nil {
		return c.ARN()
	}
	role := c.Session.Role
	if role == "" {
		role = strings.TrimPrefix(c.ID, api.UserPrincipal)
	}
	return "arn:aws:sts::" + api.Account + ":assumed-role/" + role + "/" + c.Session.Name
}

func userID(c *iam.Caller) string {
	if c.Session == nil {
		return c.ID
	}
	return c.ID + ":" + c.Session.Name
}
