package flat

import "strings"

// ownName refuses the names by which a document could run something, although all its values are quoted: variables that
// a shell reads as code or as a number to compute, that decide what the next commands are or load, and those whose
// assignment ends a shell.
//
// The list cannot be complete, because any program may take any variable for orders. It need not be when keys are asked
// for by name: then every name begins with the name of a key that the operator has chosen.
func ownName(name, _ string) (message, todo string) {
	if !reserved(name) {
		return "", ""
	}
	return "the flattened name " + shown(name) + " means something of its own to shells or programs, and could let a document run commands",
		"rename the key, or choose the keys by name instead of '.'; --compat and the formats docker and json take any name"
}

func reserved(name string) bool {
	switch name {
	// What is run, and where it is found.
	case "PATH", "SHELL", "HOME", "PWD", "OLDPWD", "CDPATH", "FPATH", "ENV", "ZDOTDIR", "SHLVL":
		return true
	// How words are read, and what is expanded when a prompt, a trace or a message is printed.
	case "_", "IFS", "PS0", "PS1", "PS2", "PS3", "PS4", "PROMPT", "RPROMPT", "PROMPT_COMMAND", "PROMPT_DIRTRIM", "MAIL", "MAILCHECK",
		"MAILPATH", "TIMEFORMAT", "TMOUT", "NULLCMD", "READNULLCMD", "POSIXLY_CORRECT":
		return true
	// What a shell lets nobody set, or computes: RANDOM=a[$(command)] runs it.
	case "UID", "EUID", "GID", "EGID", "PPID", "GROUPS", "SHELLOPTS", "LINENO", "RANDOM", "SRANDOM", "SECONDS", "EPOCHSECONDS",
		"EPOCHREALTIME", "OPTIND", "OPTERR", "OPTARG", "DIRSTACK", "FUNCNAME", "FUNCNEST", "PIPESTATUS", "ERRNO", "REPLY":
		return true
	// What an interactive shell reads, writes and starts.
	case "INPUTRC", "FCEDIT", "FIGNORE", "GLOBIGNORE", "EXECIGNORE", "IGNOREEOF", "COMP_WORDBREAKS", "HISTCMD", "HISTFILE", "HISTSIZE",
		"HISTFILESIZE", "HISTCONTROL", "HISTIGNORE", "HISTTIMEFORMAT":
		return true
	// What libraries and interpreters load.
	case "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "PYTHONPATH", "PYTHONHOME",
		"PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "PYTHONINSPECT", "PERLLIB", "PERL5LIB", "PERL5OPT", "PERL5DB",
		"RUBYLIB", "RUBYOPT", "NODE_PATH", "NODE_OPTIONS", "CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "LUA_INIT",
		"LUA_PATH", "LUA_CPATH":
		return true
	// What everyday tools start.
	case "EDITOR", "VISUAL", "PAGER", "MANPAGER", "BROWSER", "LESS", "LESSOPEN", "LESSCLOSE", "TAR_OPTIONS", "RSYNC_RSH", "MAKEFLAGS", "MAKEFILES",
		"SSH_ASKPASS", "SUDO_ASKPASS", "SUDO_EDITOR", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR",
		"GIT_PAGER", "GIT_EXTERNAL_DIFF", "GIT_PROXY_COMMAND", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_DIR":
		return true
	}
	for _, family := range [...]string{"BASH", "LD_", "GIT_CONFIG"} { // BASH_ENV, LD_PRELOAD, GIT_CONFIG_KEY_0
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}
