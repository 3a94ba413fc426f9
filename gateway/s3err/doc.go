// Package s3err is what an S3 client is told when a request fails: the list of error
// codes, the one table from api.Kind to code, status and message, and the error
// document.
//
// Gateway packages return *Error for what they find themselves; errors of the store
// (*api.Error) are translated once, by From. Nothing of an unclassified error reaches
// the client save the code InternalError and the request ID.
//
// Codes and statuses follow
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
package s3err
