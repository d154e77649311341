/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal (ECMA-48 and the alternate screen of xterm). Signals that end or stop us are blocked and read from a descriptor while the screen
 * is ours, so that it is given back before they take effect.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "services/roomwire/top.h"

static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };

static struct {
	bool entered, keys; /* keys: standard input is a terminal too */
	int signal_fd;
	struct termios before;
	sigset_t mask_before;
} screen = { .signal_fd = -1 };

bool top_screen_is_terminal(void)
{
	return isatty(STDOUT_FILENO) == 1;
}

static int put(struct str s)
{
	return fwrite(s.p, 1, s.n, stdout) == s.n && fflush(stdout) == 0 ? 0 : E_IO;
}

void top_screen_enter(void)
{
	struct termios quiet;
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&mask, taken[i]);
	sigprocmask(SIG_BLOCK, &mask, &screen.mask_before);
	screen.signal_fd = signalfd(screen.signal_fd, &mask, SFD_CLOEXEC);
	screen.keys = tcgetattr(STDIN_FILENO, &screen.before) == 0;
	if (screen.keys) {
		quiet = screen.before;
		quiet.c_lflag &= (tcflag_t) ~(ECHO | ICANON);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
	}
	screen.entered = true;
	(void)put(STR("\033[?1049h\033[?25l"));
}

void top_screen_leave(void)
{
	if (!screen.entered)
		return;
	screen.entered = false;
	(void)put(STR("\033[?25h\033[?1049l"));
	if (screen.keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
	sigprocmask(SIG_SETMASK, &screen.mask_before, NULL);
}

void top_screen_size(int *width, int *height)
{
	struct winsize size;

	*width = 80;
	*height = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*width = size.ws_col;
		*height = size.ws_row;
	}
}

/* Each line in its place, and what stood there before wiped out behind it: nothing flickers. */
int top_screen_draw(const struct buf *page)
{
	struct buf out = BUF_INIT(1u << 22);
	struct str rest = buf_str(page), line;
	int err;

	buf_addz(&out, "\033[H");
	while (rest.n) {
		str_cut(rest, '\n', &line, &rest);
		buf_add(&out, line);
		buf_addz(&out, rest.n ? "\033[K\n" : "\033[K");
	}
	buf_addz(&out, "\033[J");
	err = out.failed ? out.failed : put(buf_str(&out));
	buf_fini(&out);
	return err;
}

/* Ctrl-Z: the shell gets its screen; `fg` comes back here. */
static void stop_awhile(void)
{
	top_screen_leave();
	raise(SIGTSTP);
	top_screen_enter();
}

static bool on_signal(void)
{
	struct signalfd_siginfo info;

	if (read(screen.signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGTSTP)
		stop_awhile();
	return info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH;
}

/* False: q, or nobody is there any more. */
static bool on_key(void)
{
	char key;

	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q';
}

bool top_screen_wait(int ms)
{
	struct pollfd fds[2] = { { .fd = screen.signal_fd, .events = POLLIN },
				 { .fd = screen.keys ? STDIN_FILENO : -1, .events = POLLIN } };

	if (poll(fds, 2, ms) <= 0)
		return true;
	return fds[0].revents ? on_signal() : on_key();
}
