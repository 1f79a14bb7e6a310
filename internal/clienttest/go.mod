module example.com/relay/internal/clienttest

go 1.26.0

// Packages of npm may hold Go files.
ignore (
	./agents/node_modules
	./node_modules
)

replace example.com/relay => ../..

require example.com/relay v0.0.0
