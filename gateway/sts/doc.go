// Package sts gives temporary credentials by the query API of the AWS Security Token Service: AssumeRole,
// AssumeRoleWithCertificate as MinIO has it, and GetCallerIdentity, so that the credential providers of SDKs work.
//
// A session is the caller's own, narrowed: it may do what its access key may, and the role and the policy it was
// asked with allow. The role arn:aws:iam::000000000000:role/NAME is the named policy NAME, as it is at the time of
// each request; the caller's own ARN, as GetCallerIdentity tells it, narrows nothing. Asking takes the right
// sts:AssumeRole. A session ends with its access key, and makes no other.
//
// A session by certificate is that of the user whom the certificate's common name names, takes the right
// sts:AssumeRoleWithCertificate, and ends with the certificate at the latest.
//
// Rules: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
package sts
