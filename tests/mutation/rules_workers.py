"""Identity workers: what is dropped, whom they are for, what they can say of it."""

from typing import Final

from tests.mutation.edits import Edit, Off
from tests.mutation.rule import Rule, edit, everywhere

__all__ = ["RULES"]

_IDENTITY = "rpc/test_worker_identity.py::test_"
_WORKER = "rpc/test_worker.py::test_"
_WORKERS = "rpc/test_workers.py::test_"
_USERS = "rpc/test_local_users.py::test_"
_WARDEN = "rpc/test_warden.py::test_"
_LOG = "rpc/test_worker_log.py::test_"

# What notices that something was not dropped: off, so that the test sees it itself.
_BECOME = "rpc._worker_identity:become"
_READ_BACK = Off("rpc._worker_identity:check")
_TRIED = Edit(
    _BECOME, 'raise IdentityError("the process could become root again")', "break"
)


def _dropped(
    what: str, function: str, test: str, old: str, new: str = "pass", *more: Edit | Off
) -> Rule:
    where = f"rpc._worker_identity:{function}"
    changes = (Edit(where, old, new), _READ_BACK, *more)
    return everywhere(f"Left in a worker: {what}", where, test, *changes)


RULES: Final = (
    _dropped(
        "the service's groups",
        "switch_ids",
        f"{_IDENTITY}the_kernel_says_that_it_is_the_user",
        "os.setgroups(user.groups)",
    ),
    _dropped(
        "the service's group, as the saved one",
        "switch_ids",
        f"{_IDENTITY}the_kernel_says_that_it_is_the_user",
        "os.setresgid(user.gid, user.gid, user.gid)",
        "os.setresgid(user.gid, user.gid, -1)",
        _TRIED,
    ),
    _dropped(
        "the service's user, as the saved one",
        "switch_ids",
        f"{_IDENTITY}the_kernel_says_that_it_is_the_user",
        "os.setresuid(user.uid, user.uid, user.uid)",
        "os.setresuid(user.uid, user.uid, -1)",
        _TRIED,
    ),
    _dropped(
        "the capabilities of a service that is not root",
        "switch_ids",
        f"{_IDENTITY}the_kernel_says_that_it_is_the_user",
        "keep_capabilities()",
        "pass",
        _TRIED,
    ),
    _dropped(
        "privileges to be had by running a set-uid program",
        "seal_off",
        f"{_IDENTITY}the_kernel_says_that_it_is_the_user",
        "_prctl(_PR_SET_NO_NEW_PRIVS, 1)",
    ),
    _dropped(
        "its memory, for other processes of its user",
        "seal_off",
        f"{_IDENTITY}others_of_the_same_user_do_not_see_into_it",
        "_prctl(_PR_SET_DUMPABLE, 0)",
        # As a change of ids leaves it where fs.suid_dumpable is 1.
        "_prctl(_PR_SET_DUMPABLE, 1)",
        Edit(_BECOME, "if _prctl(_PR_GET_DUMPABLE) != 0:", "if False:"),
    ),
    _dropped(
        "core dumps, for others to read",
        "seal_off",
        f"{_IDENTITY}nothing_of_where_it_came_from_is_left",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    ),
    _dropped(
        "as much memory as it likes",
        "seal_off",
        f"{_IDENTITY}nothing_of_where_it_came_from_is_left",
        "(max_memory_bytes, max_memory_bytes)",
        "(resource.RLIM_INFINITY, resource.RLIM_INFINITY)",
    ),
    _dropped(
        "a umask that lets others read what it makes",
        "seal_off",
        f"{_IDENTITY}nothing_of_where_it_came_from_is_left",
        "os.umask(0o077)",
    ),
    _dropped(
        "the service's folder",
        "seal_off",
        f"{_IDENTITY}nothing_of_where_it_came_from_is_left",
        'os.chdir("/")',
        "pass",
        Edit(_BECOME, 'if os.getcwd() != "/":', "if False:"),
    ),
    _dropped(
        "the service's session, with its terminal",
        "become",
        f"{_IDENTITY}nothing_of_where_it_came_from_is_left",
        "os.setsid()",
    ),
    edit(
        "Left in a worker: the service's session keyring",
        "rpc._worker_identity:_leave_keyring",
        f"{_IDENTITY}keyrings",
        "_keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)",
        "pass",
    ),
    everywhere(
        "Left in a worker: open files of the template's",
        "rpc._worker:_forget_template",
        f"{_WORKER}it_has_its_own_descriptors_and_no_others",
        Edit(
            "rpc._worker:_forget_template",
            "if descriptor > 2 and descriptor != kept:",
            "if False:",
        ),
    ),
    everywhere(
        "Left in a worker: signals that the template handles its own way",
        "rpc._worker:_forget_template",
        f"{_WORKER}it_is_a_process_as_any_other",
        Edit(
            "rpc._worker:_forget_template",
            "if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE):",
            "if False:",
        ),
    ),
    everywhere(
        "Left in a worker: where the service's accounts are",
        "rpc._worker:_set_environment",
        f"{_WORKER}of_the_environment_it_has_what_it_needs",
        Edit(
            "rpc._worker:_set_environment",
            'os.environ.pop("NTLM_USER_FILE", None)',
            "pass",
        ),
    ),
    edit(
        "Left in a worker: secrets of the service's environment",
        "rpc._template:_environment",
        "rpc/test_template.py::test_variables_are_named_one_by_one",
        "if kept.fullmatch(name)",
        "",
    ),
    everywhere(
        "Within reach of a worker: its user's own tickets on this machine",
        "rpc._worker:_set_environment",
        f"{_WORKER}of_the_environment_it_has_what_it_needs",
        Edit("rpc._worker:_set_environment", "KRB5CCNAME=cache,", ""),
    ),
    edit(
        "A system call that did not do as told: ids, capabilities, flags",
        "rpc._worker_identity:check",
        f"{_IDENTITY}each_difference_is_noticed_and_named",
        'if status.get(name, "").split() != values:',
        "if False:",
    ),
    edit(
        "A system call that did not do as told: groups",
        "rpc._worker_identity:check",
        f"{_IDENTITY}each_difference_is_noticed_and_named",
        "if groups != sorted(user.groups):",
        "if False:",
    ),
    edit(
        "A system call that did not do as told: memory, still to be read",
        _BECOME,
        f"{_IDENTITY}a_step_that_did_not_work_is_noticed",
        "if _prctl(_PR_GET_DUMPABLE) != 0:",
        "if False:",
    ),
    edit(
        "A system call that did not do as told: the folder",
        _BECOME,
        f"{_IDENTITY}a_folder_that_was_not_left_is_noticed",
        'if os.getcwd() != "/":',
        "if False:",
    ),
    edit(
        "A system call that did not do as told: the keyring",
        "rpc._worker_identity:_leave_keyring",
        f"{_IDENTITY}keyrings",
        "if _session_keyring() == before:",
        "if False:",
    ),
    edit(
        "A way back to root that nothing has noticed",
        _BECOME,
        f"{_IDENTITY}a_step_that_did_not_work_is_noticed",
        'raise IdentityError("the process could become root again")',
        "pass",
    ),
    everywhere(
        "A process that outlives a template which was killed",
        "rpc._warden:_guard",
        f"{_WARDEN}what_it_guards_is_not_the_first_to_end",
        Edit("rpc._warden:_guard", "adopt_orphans()", "pass"),
    ),
    edit(
        "A caller who maps to root",
        "rpc._local_users:LocalUsers._check_user",
        f"{_USERS}no_floor_lets_root_in",
        "if user.uid == 0:",
        "if False:",
    ),
    edit(
        "A caller who maps to a user of root's group",
        "rpc._local_users:LocalUsers._check_group",
        f"{_USERS}groups_that_nobody_may_be_in",
        "if gid == 0:",
        "if False:",
    ),
    edit(
        "A caller who maps to a user of the system's",
        "rpc._local_users:LocalUsers._check_user",
        f"{_USERS}low_ids_are_refused",
        "if user.uid < self._lowest_uid:",
        "if False:",
    ),
    edit(
        "A caller who maps to the user that the service runs as",
        "rpc._local_users:LocalUsers._check_user",
        f"{_USERS}the_server_itself_is_refused",
        "if user.uid in os.getresuid():",
        "if False:",
    ),
    edit(
        "A client that lets itself be identified only, run as its user",
        "rpc._local_users:LocalUsers.find",
        f"{_USERS}identify_is_refused",
        "if caller.impersonation is ImpersonationLevel.IDENTIFY:",
        "if False:",
    ),
    edit(
        "A user's other sessions: the credential that one of them brought",
        "rpc._workers:_key",
        f"{_WORKERS}a_delegated_credential_is_one_sessions",
        'caller.session_id if caller.delegated is not None else ""',
        '""',
    ),
    edit(
        "Another worker's credential, told where it is not needed",
        "rpc._worker_control:WorkerControl.link",
        "rpc/test_worker_control.py::"
        "test_a_link_is_told_with_its_caller_and_no_credential",
        "replace(caller, delegated=None)",
        "caller",
    ),
    edit(
        "All processes taken by one user",
        "rpc._workers:Workers._make_room",
        f"{_WORKERS}no_more_of_one_user_than_may_be",
        'own, config.max_user_workers, "this caller"',
        'own, config.max_workers, "this caller"',
    ),
    edit(
        "Open files sent to the service by a worker",
        "rpc._packets:packet_pair",
        "rpc/test_packets.py::test_the_service_takes_no_files_of_a_worker",
        "files=False",
        "files=True",
    ),
    edit(
        "A worker's lines that pass for other records of the log",
        "rpc._worker_log:safe",
        f"{_LOG}no_line_of_it_looks_like_another_record",
        r'"\n    | ".join(shown)',
        r'"\n".join(shown)',
    ),
    edit(
        "A worker's words that move a terminal's cursor",
        "rpc._worker_log:_shown",
        f"{_LOG}nothing_in_it_moves_a_terminal",
        'if character.isprintable() or character == "\\t":',
        "if True:",
    ),
    edit(
        "Log records of a worker without end",
        "rpc._worker_log:Allowance.take",
        f"{_LOG}an_allowance_is_a_burst_and_then_a_rate",
        "if self._left < cost:",
        "if False:",
    ),
)
