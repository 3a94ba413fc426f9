// Package security attacks a store that runs, in the ways in which stores like it were broken. Each
// attack has a name with the number of its case, and says what must not come of it; none may crash the
// program, make it answer 5xx without a reason, leave an object behind or change one.
package security
