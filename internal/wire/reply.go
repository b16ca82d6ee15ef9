package wire

// The reply codes of connection.close, channel.close and basic.return.
const (
	CodeReplySuccess       uint16 = 200
	CodeContentTooLarge    uint16 = 311
	CodeNoRoute            uint16 = 312
	CodeNoConsumers        uint16 = 313
	CodeConnectionForced   uint16 = 320
	CodeInvalidPath        uint16 = 402
	CodeAccessRefused      uint16 = 403
	CodeNotFound           uint16 = 404
	CodeResourceLocked     uint16 = 405
	CodePreconditionFailed uint16 = 406
	CodeFrameError         uint16 = 501
	CodeSyntaxError        uint16 = 502
	CodeCommandInvalid     uint16 = 503
	CodeChannelError       uint16 = 504
	CodeUnexpectedFrame    uint16 = 505
	CodeResourceError      uint16 = 506
	CodeNotAllowed         uint16 = 530
	CodeNotImplemented     uint16 = 540
	CodeInternalError      uint16 = 541
)

// ConstantName is the name that opens a reply text, such as "NOT_FOUND" for 404, and "" for a code AMQP does not have.
func ConstantName(code uint16) string {
	switch code {
	case CodeReplySuccess:
		return "REPLY_SUCCESS"
	case CodeContentTooLarge:
		return "CONTENT_TOO_LARGE"
	case CodeNoRoute:
		return "NO_ROUTE"
	case CodeNoConsumers:
		return "NO_CONSUMERS"
	case CodeConnectionForced:
		return "CONNECTION_FORCED"
	case CodeInvalidPath:
		return "INVALID_PATH"
	case CodeAccessRefused:
		return "ACCESS_REFUSED"
	case CodeNotFound:
		return "NOT_FOUND"
	case CodeResourceLocked:
		return "RESOURCE_LOCKED"
	case CodePreconditionFailed:
		return "PRECONDITION_FAILED"
	case CodeFrameError:
		return "FRAME_ERROR"
	case CodeSyntaxError:
		return "SYNTAX_ERROR"
	case CodeCommandInvalid:
		return "COMMAND_INVALID"
	case CodeChannelError:
		return "CHANNEL_ERROR"
	case CodeUnexpectedFrame:
		return "UNEXPECTED_FRAME"
	case CodeResourceError:
		return "RESOURCE_ERROR"
	case CodeNotAllowed:
		return "NOT_ALLOWED"
	case CodeNotImplemented:
		return "NOT_IMPLEMENTED"
	case CodeInternalError:
		return "INTERNAL_ERROR"
	}
	return ""
}

// IsSoft reports whether code ends a channel only.
func IsSoft(code uint16) bool {
	switch code {
	case CodeContentTooLarge, CodeNoRoute, CodeNoConsumers, CodeAccessRefused, CodeNotFound, CodeResourceLocked, CodePreconditionFailed:
		return true
	}
	return false
}

// IsHard reports whether code ends the connection. Unknown codes do: whoever sends one is beyond a channel's repair.
func IsHard(code uint16) bool { return code != CodeReplySuccess && !IsSoft(code) }
