package clients

import (
	"os"
	"path/filepath"
	"testing"
)

// sdk runs a check script of an SDK, which reads the folder TREE, fills the folder BACK from
// the store, and tries what else the SDK does by default, some of it through an endpoint that
// fails now and then.
func (w *workshop) sdk(name string, args ...string) {
	w.Helper()
	plantTree(w, w.path("tree"))
	w.set("TREE="+w.path("tree"), "BACK="+w.path("back"), "FLAKY_ENDPOINT="+w.flaky())
	w.Log(w.run(name, args...))
	sameTrees(w, w.path("tree"), w.path("back"))
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	w := open(t, "python3")
	dir := install(t, "boto3", []string{"requirements.txt"},
		[]string{"python3", "-m", "venv", "venv"},
		[]string{"venv/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", "requirements.txt"})
	w.sdk(filepath.Join(dir, "venv", "bin", "python"), w.script("boto3", "check.py"))
}

func TestJavaScript(t *testing.T) {
	t.Parallel()
	w := open(t, "node", "npm")
	dir := install(t, "javascript", []string{"package.json", "package-lock.json"}, []string{"npm", "ci", "--no-audit", "--no-fund"})
	w.must(os.Symlink(filepath.Join(dir, "node_modules"), w.path("node_modules")))
	w.sdk("node", w.script("javascript", "check.mjs"))
}

func TestJava(t *testing.T) {
	t.Parallel()
	w := open(t, "java", "mvn")
	dir := install(t, "java", []string{"pom.xml"},
		[]string{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DoutputDirectory=lib"})
	w.sdk("java", "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-cp", filepath.Join(dir, "lib", "*"), w.script("java", "Check.java"))
}
