module forkstack.dev/go

go 1.21
