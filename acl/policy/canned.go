package policy

import "fmt"

// Names of the canned policies, for identities.
const (
	ReadOnly  = "readonly"
	ReadWrite = "readwrite"
	WriteOnly = "writeonly"
	Admin     = "admin"
)

// cannedStatement is the form of them all.
const cannedStatement = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[%s],"Resource":"*"}]}`

var cannedActions = map[string]string{
	ReadOnly: `"s3:GetObject","s3:GetObjectVersion","s3:GetObjectAttributes","s3:GetObjectVersionAttributes","s3:GetObjectTagging",` +
		`"s3:GetObjectVersionTagging","s3:ListBucket","s3:ListBucketVersions","s3:ListAllMyBuckets","s3:GetBucketLocation","s3:GetBucketVersioning"`,
	WriteOnly: `"s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts","s3:GetBucketLocation"`,
	ReadWrite: `"s3:*"`,
	Admin:     `"s3:*","admin:*","sts:*"`,
}

// Canned gives the document of a canned policy.
func Canned(name string) (text []byte, ok bool) {
	actions, ok := cannedActions[name]
	if !ok {
		return nil, false
	}
	return fmt.Appendf(nil, cannedStatement, actions), true
}

// CannedNames lists the names of the canned policies in ascending order.
func CannedNames() []string { return []string{Admin, ReadOnly, ReadWrite, WriteOnly} }
