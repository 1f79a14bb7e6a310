package core

// Version is this relay's version, as health reports it. In the source it is that
// of the release, or of the next one with "-dev" behind it; builds may replace it
// through the linker, as internal/build does. Nothing changes it at run time.
var Version = "0.1.0-dev"
